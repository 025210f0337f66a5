"""Stage `reward`: a model of what annotators prefer, and how often it is right on unseen questions."""

from typing import Any

import numpy as np
import torch

from configs.schema import RewardConfig
from tasks.feedback.events import load_events
from tasks.feedback.pairs import majority_pairs
from tasks.feedback.shown import FEWEST_PAIRS, as_preferences, distinct_answers, encode_shown
from tasks.ml.batching import group_examples, plan_epochs
from tasks.ml.metrics import bootstrap_mean
from tasks.ml.models import ScoredModel, load_model, load_tokenizer
from tasks.ml.preferences import Preferences, pair_accuracy, with_pairs
from tasks.ml.rows import load_rows
from tasks.ml.seeding import stable_fraction
from tasks.ml.train_reward import score_groups, train_reward
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext

RESAMPLES = 2000


def run(context: StageContext) -> dict[str, Any]:
    """Write `model/` (trunk, tokeniser and head) and return its accuracy and the scale of its scores."""
    config = context.section(RewardConfig, "reward")
    events = load_events(context.inputs["feedback"] / "events.jsonl")
    rows = {row.id: row for row in load_rows(context.inputs["clean"] / "rows.jsonl")}
    folder = context.inputs["distill"] / "model"
    tokenizer = load_tokenizer(folder)
    model = ScoredModel(load_model(folder))
    answers, stops = distinct_answers(events)
    pairs = majority_pairs(events)
    held_out = {
        pair.row
        for pair in pairs
        if stable_fraction("held out", context.seed, pair.row) < config.holdout_share
    }
    train = as_preferences([pair for pair in pairs if pair.row not in held_out], answers)
    test = as_preferences([pair for pair in pairs if pair.row in held_out], answers)
    if len(train) < FEWEST_PAIRS:
        raise StageError(
            Problem(
                "feedback",
                f"{len(train)} preferences to learn from",
                f"at least {FEWEST_PAIRS}",
                "Collect more feedback, or raise `feedback.prompts` or `feedback.temperature`.",
            )
        )
    examples = [encode_shown(tokenizer, rows[row], text, stops[row, text]) for row, text in answers]
    groups = group_examples(examples, [rows[row].context for row, _ in answers], config.row_tokens)
    fitted = with_pairs(groups, train)
    steps = len(plan_epochs([fitted] * config.epochs, config.token_budget, context.seed))
    train_reward(model, fitted, train, len(answers), config, context.seed, context.watch("reward", steps))
    model.save(context.out / "model", tokenizer)
    scores = score_groups(model, groups, len(answers), config.token_budget, config.precision)
    summary = report(scores, train, test, [text for _, text in answers], context.seed)
    context.run.metrics({f"reward/{name}": value for name, value in summary.items()})
    return summary


def report(
    scores: torch.Tensor, train: Preferences, test: Preferences, texts: list[str], seed: int
) -> dict[str, float]:
    """Accuracy on held-out pairs beside the guess that the longer answer wins, and the scores' scale."""
    summary = {
        "rows": len(train) + len(test),
        "train_pairs": len(train),
        "test_pairs": len(test),
        "train_accuracy": float(pair_accuracy(scores, train).mean()),
        "score_mean": float(scores.mean()),
        "score_deviation": max(float(scores.std()), 1e-3),
    }
    if len(test):
        lengths = torch.tensor([float(len(text.split())) for text in texts])
        interval = bootstrap_mean(np.asarray(pair_accuracy(scores, test), dtype=np.float64), RESAMPLES, seed)
        summary |= {
            "accuracy": interval.value,
            "accuracy_low": interval.low,
            "accuracy_high": interval.high,
            "longer_wins_accuracy": float(pair_accuracy(lengths, test).mean()),
        }
    return summary
