"""Stage `dpo`: align the distilled student with what people judged, without a reward model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from configs.schema_dpo import DPOConfig
from tasks.feedback.events import load_events
from tasks.feedback.pairs import majority_pairs
from tasks.feedback.shown import (
    as_preferences,
    distinct_answers,
    encode_answers,
    group_answers,
)
from tasks.feedback.single_answers import majority_verdicts
from tasks.few_preferences import check_pairs, too_few
from tasks.ml.batching import Group, plan_epochs
from tasks.ml.models import load_model, load_tokenizer, save_model, trained_parameters
from tasks.ml.preferences import Preferences, groups_with
from tasks.ml.reward_loss import bradley_terry
from tasks.ml.rows import load_rows
from tasks.ml.train_dpo import all_log_probs, reward_figures, train_dpo
from tasks.stage import StageContext

FEWEST_VERDICTS = 4  # desirable answers, and as many undesirable ones


@dataclass(frozen=True)
class Judged:
    """What there is to learn from.

    Attributes:
        groups: Every answer that annotators saw, below its question; a branch's index is its answer.
        answers: Number of answers, M.
        pairs: Who was preferred, by most votes; empty for KTO.
        verdicts: Whether an answer is desirable, by most votes; empty for all but KTO.
    """

    groups: Sequence[Group]
    answers: int
    pairs: Preferences
    verdicts: Mapping[int, bool]

    def __len__(self) -> int:
        return len(self.pairs) + len(self.verdicts)


def run(context: StageContext) -> dict[str, Any]:
    """Write `model/`, the aligned student; return what it made of the judgements that it learnt from."""
    config = context.section(DPOConfig, "dpo")
    folder = context.inputs["distill"] / "model"
    tokenizer, model = load_tokenizer(folder), load_model(folder)
    judged = gather(context, tokenizer, config)
    reference = all_log_probs(model, judged.groups, judged.answers, config)
    if config.algorithm == "dpo":
        groups = groups_with(judged.groups, judged.pairs.chosen)
        steps = len(plan_epochs([groups] * config.epochs, config.token_budget, context.seed))
        watch = context.watch("dpo", steps)
        train_dpo(model, reference, groups, judged.pairs, config, context.seed, watch)
    else:
        _train_with_trl(context, model, tokenizer, judged, config)
    trained = trained_parameters(model)
    save_model(context.out / "model", model, tokenizer)
    context.register(context.out / "model")
    moved = all_log_probs(model, judged.groups, judged.answers, config) - reference
    figures = describe(config.beta * moved, judged)
    context.run.metrics({f"dpo/{name}": value for name, value in figures.items()})
    return {
        "rows": len(judged),
        "algorithm": config.algorithm,
        "trained_parameters": trained,
        **figures,
    }


def gather(context: StageContext, tokenizer: PreTrainedTokenizerBase, config: DPOConfig) -> Judged:
    """What the algorithm learns from.

    Raises:
        StageError: It is too little.
    """
    events = load_events(context.inputs["feedback"] / "events.jsonl")
    rows = {row.id: row for row in load_rows(context.inputs["clean"] / "rows.jsonl")}
    answers, _ = distinct_answers(events)
    place = {answer: index for index, answer in enumerate(answers)}
    by_kto = config.algorithm == "kto"
    pairs = [] if by_kto else majority_pairs(events)
    verdicts = majority_verdicts(events) if by_kto else {}
    if by_kto:
        check_verdicts(verdicts)
    else:
        check_pairs(len(pairs))
    examples = encode_answers(tokenizer, events, rows)
    return Judged(
        groups=group_answers(examples, answers, rows, config.row_tokens),
        answers=len(answers),
        pairs=as_preferences(pairs, answers),
        verdicts={place[answer]: liked for answer, liked in verdicts.items()},
    )


def check_verdicts(verdicts: Mapping[tuple[str, str], bool]) -> None:
    """Refuse to learn from verdicts that would not hold for other questions.

    Raises:
        StageError: There are too few answers of one kind, or too few questions.
    """
    liked = sum(verdicts.values())
    disliked, questions = len(verdicts) - liked, len({row for row, _ in verdicts})
    if min(liked, disliked) < FEWEST_VERDICTS or questions < 2:
        got = f"{liked} desirable and {disliked} undesirable answers to {questions} questions"
        raise too_few(got, f"at least {FEWEST_VERDICTS} of each, to 2 questions or more")


def _train_with_trl(
    context: StageContext, model: Any, tokenizer: PreTrainedTokenizerBase, judged: Judged, config: DPOConfig
) -> None:
    # TRL takes seconds to import.
    from tasks.ml.train_dpo_trl import pair_rows, steps_of, train_dpo_with_trl, verdict_rows

    if config.algorithm == "kto":
        rows = verdict_rows(judged.groups, judged.verdicts)
    else:
        rows = pair_rows(judged.groups, judged.pairs)
    watch = context.watch("dpo", steps_of(rows, config))
    train_dpo_with_trl(model, tokenizer, rows, config, context.seed, watch, context.out)


def describe(rewards: torch.Tensor, judged: Judged) -> dict[str, float]:
    """How far the implicit rewards of the training answers went the way that they were judged.

    Args:
        rewards: beta times the log-ratio to the distilled model; NaN for answers in no group. Shape [M].
        judged: What was learnt.
    """
    if judged.verdicts:
        liked = torch.tensor([judged.verdicts.get(index, False) for index in range(judged.answers)])
        known = torch.tensor([index in judged.verdicts for index in range(judged.answers)])
        desirable, undesirable = rewards[known & liked].mean().item(), rewards[known & ~liked].mean().item()
        return {"desirable_reward": desirable, "undesirable_reward": undesirable}
    learnt = judged.pairs.within(~rewards.isnan())
    loss = bradley_terry(rewards[learnt.chosen], rewards[learnt.rejected], learnt.votes)
    return {"loss": loss.item(), **reward_figures(rewards, learnt)}
