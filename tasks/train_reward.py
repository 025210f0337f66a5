"""Stage `reward`: a model of what annotators prefer, and how often it is right on unseen questions."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from configs.schema_reward import RewardConfig
from tasks.feedback.events import FeedbackEvent, load_events
from tasks.feedback.pairs import majority_pairs
from tasks.feedback.reward_report import Examined, examine, reliability_picture
from tasks.feedback.shown import (
    as_targets,
    distinct_answers,
    encode_answers,
    group_answers,
)
from tasks.few_preferences import check_pairs
from tasks.ml.batching import Group, plan_epochs
from tasks.ml.card_files import PAGE, headline, save_card
from tasks.ml.models import ScoredModel, load_model, load_tokenizer
from tasks.ml.preferences import RewardTargets, groups_with
from tasks.ml.reward_scale import floor_figures, level_heads, scale_figures
from tasks.ml.reward_scores import score_heads
from tasks.ml.reward_start import start_from
from tasks.ml.rows import Row, load_rows
from tasks.ml.seeding import stable_fraction, stable_hash
from tasks.ml.train_reward import train_reward
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext

LEARNT = "learnt.json"


def run(context: StageContext) -> dict[str, Any]:
    """Write the model, its card and what it says of every answer; return figures and the scores' scale.

    `model/` holds trunk, tokeniser and heads, `scores.jsonl` a line for each answer, and `learnt.json` names
    the questions that the model, or one that it started from, has learnt.
    """
    config = context.section(RewardConfig, "reward")
    events = load_events(context.inputs["feedback"] / "events.jsonl")
    rows = {row.id: row for row in load_rows(context.inputs["clean"] / "rows.jsonl")}
    tokenizer = load_tokenizer(context.inputs["distill"] / "model")
    model, learnt = starting_model(context, config, tokenizer)
    names = question_names(events, rows)
    held_out = held_out_rows(names, config.holdout_share, learnt, context.seed)
    answers, _ = distinct_answers(events)
    pairs = majority_pairs(events)
    check_pairs(sum(pair.row not in held_out for pair in pairs))
    groups = group_answers(encode_answers(tokenizer, events, rows), answers, rows, config.row_tokens)
    targets = as_targets([event for event in events if event.row not in held_out], answers, config)
    threshold = fit(context, config, model, groups, targets)
    by_head = score_heads(model, groups, len(answers), config.token_budget, config.precision)
    if not len(targets.fails):
        by_head = level_heads(model, by_head)
    model.save(context.out / "model", tokenizer)
    write_scores(context.out / "scores.jsonl", answers, by_head, held_out)
    learnt |= {name for row, name in names.items() if row not in held_out}
    (context.out / LEARNT).write_text(json.dumps(sorted(learnt)), encoding="utf-8")
    scores = by_head.mean(1)
    check_finite(scores)
    shown = {(event.row, answer.text) for event in events for answer in event.answers}
    unseen = as_targets([event for event in events if event.row in held_out], answers, config)
    figures = {
        **scale_figures(by_head[torch.tensor([answer in shown for answer in answers])]),
        **({"tie_threshold": threshold} if threshold else {}),
        **(floor_figures(scores, unseen.fails) if len(targets.fails) else {}),
    }
    context.run.metrics({f"reward/{name}": value for name, value in figures.items()})
    found = examine(scores, events, answers, held_out, config.gate, context.seed)
    report(context, found)
    return {"rows": len(pairs), **figures, "card": found.verdict.decision, **found.figures}


def starting_model(
    context: StageContext, config: RewardConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[ScoredModel, set[str]]:
    """The model before training, and the names of the questions that it has learnt already.

    Raises:
        StageError: `reward.warm_start` names no artifact of this stage.
        WarmStartRefused: Its model has another shape, or other tokens.
    """
    model = ScoredModel(load_model(context.inputs["distill"] / "model"), config.ensemble)
    if config.warm_start is None:
        return model, set()
    folder = context.earlier_reward(config.warm_start)
    if not (folder / LEARNT).is_file():
        got, remedy = f"{folder} without {LEARNT}", "Name the artifact's folder, in which `model/` lies."
        raise StageError(Problem("reward.warm_start", got, "an artifact of stage `reward`", remedy))
    start_from(model, tokenizer, folder / "model")
    return model, set(json.loads((folder / LEARNT).read_text(encoding="utf-8")))


def question_names(events: Sequence[FeedbackEvent], rows: Mapping[str, Row]) -> dict[str, str]:
    """What tells questions apart, by row: the id in the dataset, else what was asked, whatever its id.

    Feedback that came in twice may name one question in two ways; learnt under one name, it must not be
    examined under the other.
    """
    return {
        event.row: event.row if event.row in rows else f"asked-{stable_hash(event.prompt):016x}"
        for event in events
    }


def held_out_rows(names: Mapping[str, str], share: float, learnt: Collection[str], seed: int) -> set[str]:
    """Questions that are kept for measuring; none that the model had learnt before it came here."""
    return {
        row
        for row, name in names.items()
        if stable_fraction("held out", seed, name) < share and name not in learnt
    }


def fit(
    context: StageContext,
    config: RewardConfig,
    model: ScoredModel,
    groups: Sequence[Group],
    targets: RewardTargets,
) -> float:
    """Train the model in place; gives the threshold below which answers tie."""
    fitted = groups_with(groups, targets.answers)
    steps = len(plan_epochs([fitted] * config.epochs, config.token_budget, context.seed))
    return train_reward(model, fitted, targets, config, context.seed, context.watch("reward", steps))


def write_scores(
    path: Path, answers: Sequence[tuple[str, str]], by_head: torch.Tensor, held_out: Collection[str]
) -> None:
    """Write a line for each answer: its score, how far the heads differ (null: one head), where it was."""
    deviations = by_head.std(1).tolist() if by_head.shape[1] > 1 else [None] * len(answers)
    with path.open("w", encoding="utf-8") as file:
        for (row, text), score, deviation in zip(answers, by_head.mean(1).tolist(), deviations, strict=True):
            line = {"row": row, "text": text, "score": score, "deviation": deviation}
            file.write(json.dumps(line | {"held_out": row in held_out}) + "\n")


def check_finite(scores: torch.Tensor) -> None:
    """Refuse scores that a training that broke down leaves.

    Raises:
        StageError: One of them is NaN or infinite.
    """
    if not scores.isfinite().all():
        remedy = "Training broke down: lower `reward.learning_rate`."
        raise StageError(Problem("reward model", "scores that are no numbers", "finite scores", remedy))


def report(context: StageContext, found: Examined) -> None:
    """Write `card.json` and `card.md`, record the figures, and say the verdict."""
    save_card(context.out, found.card, found.verdict)
    figures = found.figures | {"go": float(found.verdict.decision == "go")}
    context.run.metrics({f"reward/{name}": value for name, value in figures.items()})
    context.run.file(context.out / PAGE, "card")
    if found.card.evidence:
        context.run.figure("reliability", reliability_picture(found.card.evidence))
        context.run.table("reward_slices", [vars(part) for part in found.card.evidence.slices])
    context.bars.say(f"reward: the card says {headline(found.verdict)}")
