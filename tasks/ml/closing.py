"""The closing table: which figures it shows of which models, and how they are written."""

from collections.abc import Mapping
from typing import Any

MODELS = ("unrefined", "teacher_zero_shot", "teacher_few_shot", "distilled", "aligned")
# How people call what `ppo.algorithm` and `dpo.algorithm` name.
METHODS = {
    "ppo": "PPO",
    "rloo": "RLOO (TRL)",
    "grpo": "GRPO (TRL)",
    "dpo": "DPO",
    "trl_dpo": "DPO (TRL)",
    "kto": "KTO (TRL)",
}
# metric, label, how a value is written
LINES = (
    ("accuracy", "accuracy", "percent"),
    ("gold_win_rate", "gold win rate against distilled", "percent"),
    ("judge_win_rate", "a language model's win rate against distilled", "percent"),
    ("reward", "reward, standard deviations", "number"),
    ("forecast_error", "forecasts off by, kcal", "number"),
    ("perplexity", "perplexity of gold answers", "number"),
    ("bits_per_byte", "gold answers, bits a byte", "number"),
    ("general_nll_per_byte", "general answers, nats a byte", "number"),
    ("forgetting", "forgetting, nats a byte", "number"),
    ("words", "words an answer", "number"),
    ("stop_rate", "answers that stop", "percent"),
    ("calibration_error", "calibration error", "percent"),
    ("latency_median", "seconds to an answer", "number"),
    ("tokens_per_second", "tokens per second", "count"),
    ("energy", "Wh for 1,000 answers", "single"),
    ("inference_memory", "memory while answering, MB", "count"),
    ("parameters", "parameters", "count"),
    ("kl_to_distilled", "KL to distilled, nats a response", "number"),
)


def closing_rows(figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a metric: its label and the text of each model's cell, in the order of `MODELS`."""
    found = {(figure["metric"], figure["model"]): figure for figure in figures}
    rows = []
    for metric, label, form in LINES:
        cells = [written(found.get((metric, model)), form) for model in MODELS]
        if any(cells):
            rows.append({"label": label, "cells": cells})
    return rows


def not_people(feedback: Mapping[str, Any]) -> str:
    """Who made the feedback of a run in people's stead; empty if people made all of it.

    Args:
        feedback: The summary of stage `feedback`.
    """
    by_ai = feedback.get("ai_judged", 0) + feedback.get("ai_revised", 0)
    makers = {"simulated annotators": feedback["simulated"] > by_ai, "a model (AI feedback)": by_ai > 0}
    return " and ".join(maker for maker, did in makers.items() if did)


def written(figure: dict[str, Any] | None, form: str) -> str:
    """A value with its interval, or nothing."""
    if figure is None:
        return ""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if form == "percent":
        return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    if form == "count":
        return shortened(value)
    if form == "single":  # measured once: nothing is known of its spread
        return f"{value:.3g}"
    if value >= 1000:
        return f"{shortened(value)} [{shortened(low)}, {shortened(high)}]"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"


def shortened(value: float) -> str:
    """A large number with three digits: `44.2 M`, `1.23 k`, `412`."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * factor:  # 999,600 is 1 M, not 1e+03 k
            return f"{value / factor:.3g}{unit}"
    return f"{value:.0f}"
