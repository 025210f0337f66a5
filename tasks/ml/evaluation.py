"""Measure models on the same held-out questions: answers, likelihoods, divergence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from tasks.ml.answering import write_answers
from tasks.ml.batching import group_examples, pack, plan_batches
from tasks.ml.kd_loss import forward_kl, gold_cross_entropy
from tasks.ml.metrics import Values
from tasks.ml.models import hidden_states, response_log_probs
from tasks.ml.progress import Bar
from tasks.ml.prompts import Example, encode_answer, encode_prompt
from tasks.ml.rows import Row
from tasks.ml.rubric import Judgement, judge
from tasks.ml.sampling import Sampling

TOKEN_BUDGET = 2048
ROW_TOKENS = 1024


@dataclass(frozen=True)
class Contestant:
    """A model and how it is asked.

    Attributes:
        name: As it stands in tables.
        model: The causal language model, in the precision of inference.
        tokenizer: Its tokeniser.
        shots: Worked examples before each question.
    """

    name: str
    model: Any
    tokenizer: PreTrainedTokenizerBase
    shots: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Answers:
    """What a contestant answered to each of Q questions.

    Attributes:
        texts: The answers.
        responses: Their token ids.
        judgements: What the rubric says of them.
        confidence: Mean probability of the tokens of each, 0 to 1. Shape [Q].
    """

    texts: list[str]
    responses: list[tuple[int, ...]]
    judgements: list[Judgement]
    confidence: Values

    @property
    def correct(self) -> Values:
        """1 where the table agrees, else 0. Shape [Q]."""
        return np.array([float(judgement.correct) for judgement in self.judgements])

    @property
    def utility(self) -> Values:
        """The rubric's utility. Shape [Q]."""
        return np.array([judgement.utility for judgement in self.judgements])

    @property
    def stops(self) -> Values:
        """1 where the answer ended by itself. Shape [Q]."""
        return np.array([float(judgement.stopped) for judgement in self.judgements])

    @property
    def words(self) -> Values:
        """Length in words. Shape [Q]."""
        return np.array([float(len(text.split())) for text in self.texts])


def answer(contestant: Contestant, rows: Sequence[Row], max_new_tokens: int, batch: int, bar: Bar) -> Answers:
    """Greedy answers to all questions, judged."""
    tokenizer = contestant.tokenizer
    sampling = Sampling(max_new_tokens, tokenizer.eos_token_id, tokenizer.pad_token_id, rows=batch)
    written = write_answers(contestant.model, tokenizer, rows, sampling, bar, contestant.shots)
    judgements = [judge(row, one.text, one.stopped) for row, one in zip(rows, written, strict=True)]
    confidence = np.array([one.confidence for one in written])
    return Answers([one.text for one in written], [one.response for one in written], judgements, confidence)


@torch.inference_mode()
def gold_likelihood(contestant: Contestant, rows: Sequence[Row]) -> tuple[Values, Values]:
    """Negative log-likelihood of each gold answer in nats, and its number of tokens. Shapes [Q]."""
    examples = [
        Example(
            encode_prompt(contestant.tokenizer, r, contestant.shots),
            encode_answer(contestant.tokenizer, r.answer or ""),
        )
        for r in rows
    ]
    groups = group_examples(examples, [row.context for row in rows], ROW_TOKENS)
    nats = torch.zeros(len(rows))
    for part in plan_batches(groups, TOKEN_BUDGET, 0, 0):
        batch = pack(part, contestant.tokenizer.pad_token_id)
        log_probs = response_log_probs(contestant.model, hidden_states(contestant.model, batch), batch)
        nats.index_add_(0, batch.example, gold_cross_entropy(log_probs, batch.target))
    tokens = np.array([float(len(example.response)) for example in examples])
    return nats.numpy().astype(np.float64), tokens


@torch.inference_mode()
def response_kl(
    model: Any, reference: Contestant, rows: Sequence[Row], responses: Sequence[tuple[int, ...]]
) -> Values:
    """KL(model || reference) summed over the tokens of each response, in nats. Shape [Q].

    Both must have the reference's vocabulary.
    """
    examples = [
        Example(encode_prompt(reference.tokenizer, r), a) for r, a in zip(rows, responses, strict=True)
    ]
    groups = group_examples(examples, [row.context for row in rows], ROW_TOKENS)
    nats = torch.zeros(len(rows))
    for part in plan_batches(groups, TOKEN_BUDGET, 0, 0):
        batch = pack(part, reference.tokenizer.pad_token_id)
        ours = response_log_probs(model, hidden_states(model, batch), batch)
        theirs = response_log_probs(reference.model, hidden_states(reference.model, batch), batch)
        nats.index_add_(0, batch.example, forward_kl(ours, theirs))
    return nats.numpy().astype(np.float64)
