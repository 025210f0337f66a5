"""From answers to a pool of pairs that may be asked, as a reward model sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from configs.schema_reward import RewardConfig
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.pairs import pairs_of
from tasks.feedback.plan import Array, PairPool, covariance_after, directions
from tasks.ml.batching import group_examples, pack, plan_batches
from tasks.ml.models import ScoredModel
from tasks.ml.precision import arithmetic
from tasks.ml.prompts import encode_prompt, encode_written
from tasks.ml.rows import Row


@dataclass(frozen=True)
class Candidates:
    """Answers to questions, each with at least two, and what was judged before.

    Attributes:
        rows: The questions.
        answers: The different answers to each.
        judged: What the reward model has learnt from.
        known: The rows of the questions that those events are about, by id.
    """

    rows: Sequence[Row]
    answers: Sequence[Sequence[Shown]]
    judged: Sequence[FeedbackEvent]
    known: dict[str, Row]


@dataclass(frozen=True)
class Pool:
    """What `plan` chooses from.

    Attributes:
        pairs: As numbers.
        shown: The question and the two answers of each.
        covariance: What the reward head does not know after all that was judged. Shape [D, D].
    """

    pairs: PairPool
    shown: list[tuple[Row, Shown, Shown]]
    covariance: Array


@torch.inference_mode()
def read_answers(
    model: ScoredModel,
    tokenizer: PreTrainedTokenizerBase,
    answers: Sequence[tuple[Row, Shown]],
    config: RewardConfig,
) -> tuple[Array, Array]:
    """Last hidden state [M, H] and reward [M], nats, of each of M answers."""
    examples = [
        encode_written(tokenizer, encode_prompt(tokenizer, row), shown.text, shown.stopped)
        for row, shown in answers
    ]
    groups = group_examples(examples, [row.context for row, _ in answers], config.row_tokens)
    hidden = torch.zeros(len(answers), model.language_model.config.hidden_size)
    rewards = torch.zeros(len(answers))
    for part in plan_batches(groups, config.token_budget, 0, 0):
        batch = pack(part, model.language_model.config.pad_token_id)
        with arithmetic(config.precision):
            ends = model.hidden_states(batch)[batch.end]
            rewards[batch.branch] = model.scores(ends)
        hidden[batch.branch] = ends.float()
    return hidden.double().numpy(), rewards.double().numpy()


def make_pool(
    model: ScoredModel, tokenizer: PreTrainedTokenizerBase, candidates: Candidates, config: RewardConfig
) -> Pool:
    """All pairs of different answers to one question, and what the model has learnt already."""
    asked = [
        (row, shown)
        for row, answers in zip(candidates.rows, candidates.answers, strict=True)
        for shown in answers
    ]
    preferred = [pair for event in candidates.judged for pair in pairs_of(event)]
    texts = {(event.row, shown.text): shown for event in candidates.judged for shown, _ in event.placed}
    before = [(candidates.known[row], shown) for (row, _), shown in texts.items()]
    hidden, rewards = read_answers(model, tokenizer, [*asked, *before], config)
    features = hidden @ directions(hidden[: len(asked)], [row.id for row, _ in asked])
    place = {key: len(asked) + number for number, key in enumerate(texts)}
    chosen = [place[pair.row, pair.chosen] for pair in preferred]
    rejected = [place[pair.row, pair.rejected] for pair in preferred]
    judged = features[chosen] - features[rejected]
    pairs = _pairs(asked)
    first, second = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    return Pool(
        PairPool(
            features[first] - features[second],
            rewards[first] - rewards[second],
            [asked[index][0].id for index in first],
            [asked[index][0].task for index in first],
        ),
        [(asked[one][0], asked[one][1], asked[other][1]) for one, other in pairs],
        covariance_after(judged, rewards[chosen] - rewards[rejected]),
    )


def _pairs(asked: Sequence[tuple[Row, Shown]]) -> list[tuple[int, int]]:
    """Places of every two answers to one question that differ in their text."""
    members: dict[str, list[int]] = {}
    for index, (row, _) in enumerate(asked):
        members.setdefault(row.id, []).append(index)
    return [
        (one, other)
        for places in members.values()
        for one, other in combinations(places, 2)
        if asked[one][1].text != asked[other][1].text
    ]
