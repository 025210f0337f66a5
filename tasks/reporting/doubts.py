"""Rows that cannot be right, or that somebody should look at before they are believed."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]
_CLOSE = 1e-9
# What is given as a share but is a difference of shares.
_DIFFERENCES = ("gain", "gap", "difference", "bias", "robustness")
# No such thing is negative.
_SIZES = frozenset(
    {"tokens/s", "parameters", "words", "tokens", "seconds", "s", "ms", "MB", "kWh", "Wh", "bits per byte"}
)
# A stricter metric cannot exceed the looser one.
STRICTER = (("forecast_within_10", "forecast_stated"),)
# Share of right answers that guessing gives, where there are two answers to choose from.
GUESSED = {"accuracy_comparison": 0.5, "accuracy_good_source": 0.5, "accuracy_suitability": 0.5}
# It has learnt nothing: that it is wrong is no surprise.
UNTRAINED = "unrefined"


def doubts_about(figures: Iterable[Row]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The rules that figures break, by metric and model; a rule is named as its message is."""
    rows = list(figures)
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        broken = [name for name, breaks in _RULES.items() if breaks(row)]
        if broken:
            found.setdefault((row["metric"], row["model"]), []).extend(broken)
    for key in _too_strict(rows):
        found.setdefault(key, []).append("strict_above_loose")
    return {key: tuple(rules) for key, rules in found.items()}


def _too_strict(rows: list[Row]) -> list[tuple[str, str]]:
    values = {(row["metric"], row["model"]): row["value"] for row in rows}
    return [
        (strict, model)
        for strict, loose in STRICTER
        for metric, model in values
        if metric == strict
        and (loose, model) in values
        and values[strict, model] > values[loose, model] + _CLOSE
    ]


def _outside_share(row: Row) -> bool:
    if row.get("unit") != "share":
        return False
    least = -1.0 if any(word in row["metric"] for word in _DIFFERENCES) else 0.0
    return not least - _CLOSE <= row["value"] <= 1 + _CLOSE


def _outside_interval(row: Row) -> bool:
    low, high = row.get("low"), row.get("high")
    if low is None or high is None:
        return False
    slack = _CLOSE * max(1.0, abs(row["value"]))
    return not low - slack <= row["value"] <= high + slack


def _negative(row: Row) -> bool:
    return row["value"] < 0 and (row.get("unit") in _SIZES or row["metric"].startswith("kl_"))


def _below_guessing(row: Row) -> bool:
    guessed = GUESSED.get(row["metric"])
    return guessed is not None and row["model"] != UNTRAINED and row.get("high", guessed) < guessed


_RULES: Mapping[str, Callable[[Row], bool]] = {
    "not_finite": lambda row: not math.isfinite(row["value"]),
    "outside_share": _outside_share,
    "outside_interval": _outside_interval,
    "negative": _negative,
    "perplexity_below_one": lambda row: row["metric"].startswith("perplexity") and row["value"] < 1,
    "over_nothing": lambda row: row.get("n") is not None and row["n"] < 1,
    "below_guessing": _below_guessing,
}
