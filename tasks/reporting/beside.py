"""The figures of two runs beside each other, paired by question where both put the same ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tasks.ml.metrics import Interval, QuestionBootstrap
from tasks.reporting.parts import Part

COLUMNS, FIGURES = "columns.json", "figures.json"
CONFIDENCE, RESAMPLES, SEED = 0.95, 20_000, 0
Side = Literal["first", "second"]


@dataclass(frozen=True)
class Beside:
    """One figure of one model in two runs.

    Attributes:
        metric: Of the figure.
        model: Whose.
        unit: Its unit.
        first: As the first run has it.
        second: As the second run has it.
        difference: Second less first, paired by question; None where the runs put other questions.
        better: The better run, where the interval leaves no doubt after Bonferroni's correction.
    """

    metric: str
    model: str
    unit: str
    first: Interval
    second: Interval
    difference: Interval | None
    better: Side | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        sides = {name: getattr(self, name) for name in ("first", "second", "difference")}
        plain = {name: vars(one) if one else None for name, one in sides.items()}
        return {"metric": self.metric, "model": self.model, "unit": self.unit, **plain, "better": self.better}


@dataclass(frozen=True)
class Pair:
    """One metric of one model, question by question, in two runs. Shapes [Q]."""

    better: Literal["higher", "lower"] | None
    contexts: Any
    weights: Any
    difference: Any

    def interval(self, confidence: float) -> Interval:
        """The weighted mean difference; whole contexts are drawn."""
        drawn = QuestionBootstrap(self.contexts, RESAMPLES, confidence, SEED)
        return drawn.share(self.difference, self.weights)


def set_beside(first: Part, second: Part) -> list[Beside]:
    """All figures that both runs have, in the order of the first.

    Args:
        first: Artifact of stage `evaluate` of the first run.
        second: That of the second.
    """
    figures = [
        {(row["metric"], row["model"]): row for row in part.load(FIGURES) or []} for part in (first, second)
    ]
    pairs = dict(paired(first.load(COLUMNS), second.load(COLUMNS)))
    shown = [key for key in figures[0] if key in figures[1]]
    strict = 1 - (1 - CONFIDENCE) / max(1, sum(key in pairs for key in shown))
    found = []
    for metric, model in shown:
        ours, theirs = (own[metric, model] for own in figures)
        pair = pairs.get((metric, model))
        difference = pair.interval(CONFIDENCE) if pair else None
        better = _better(pair, strict) if pair else None
        unit, sides = ours.get("unit") or "", (_interval(ours), _interval(theirs))
        found.append(Beside(metric, model, unit, *sides, difference, better))
    return found


def _better(pair: Pair, confidence: float) -> Side | None:
    found = pair.interval(confidence)
    if pair.better is None or found.low <= 0 <= found.high:
        return None
    return "second" if (found.value > 0) == (pair.better == "higher") else "first"


def _interval(row: Mapping[str, Any]) -> Interval:
    return Interval(*(row[name] for name in ("value", "low", "high", "n")))


def paired(first: Any, second: Any) -> Iterator[tuple[tuple[str, str], Pair]]:
    """Each metric and model that both runs measured on the same questions, whatever their order.

    Args:
        first: What `columns.json` of a run holds: samples with `ids`, `contexts` and `columns`; or None.
        second: That of the other.
    """
    others = {sample["sample"]: sample for sample in second or []}
    for sample in first or []:
        other = others.get(sample["sample"])
        if other is None or sorted(sample["ids"]) != sorted(other["ids"]):
            continue
        place = {name: index for index, name in enumerate(other["ids"])}
        order = np.array([place[name] for name in sample["ids"]])
        columns = {column["metric"]: column for column in other["columns"]}
        for column in sample["columns"]:
            # A share of wins says how a model does beside another of its own run.
            if column["metric"] in columns and column["margin"] is None:
                yield from _models(sample, column, columns[column["metric"]], order)


def _models(
    sample: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any], order: Any
) -> Iterator[tuple[tuple[str, str], Pair]]:
    weights, others = np.array(ours["weights"]), np.array(theirs["weights"])[order]
    if not np.array_equal(weights, others) or not weights.any():
        return
    contexts = np.unique(np.array(sample["contexts"]), return_inverse=True)[1]
    for model, values in ours["values"].items():
        if model in theirs["values"]:
            # A question that a model was not asked has no value.
            difference = np.array(theirs["values"][model], float)[order] - np.array(values, float)
            asked = np.where(np.isnan(difference), 0, weights)
            if asked.any():
                pair = Pair(ours["better"], contexts, asked, np.nan_to_num(difference))
                yield (ours["metric"], model), pair
