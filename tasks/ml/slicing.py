"""Where models are strong and weak: their figures by family of questions, by length, by food group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.ml.columns import Sample, contexts_of, counted
from tasks.ml.metrics import Interval, QuestionBootstrap, Values
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row

METRICS = ("accuracy", "gold_utility")
LENGTHS = ("short", "medium", "long")
LEAST_CONTEXTS = 5  # an interval by the bootstrap of fewer is far too narrow


@dataclass(frozen=True)
class Slice:
    """Some of the questions.

    Attributes:
        by: What they have in common: task, length or food_group.
        name: Which.
        inside: 1 for its questions, 0 for others. Shape [Q].
    """

    by: str
    name: str
    inside: Values


@dataclass(frozen=True)
class SliceFigure:
    """A metric of one model on a slice, with its interval."""

    by: str
    slice: str
    metric: str
    model: str
    interval: Interval
    unit: str


def slices_of(rows: Sequence[Row]) -> Iterator[Slice]:
    """Questions by task, by length of what is asked, and by food group; one about two groups is in both."""
    for task in dict.fromkeys(row.task for row in rows):
        yield Slice("task", task, np.array([float(row.task == task) for row in rows]))
    third = _thirds([len(user_text(row).split()) for row in rows])
    for place, name in enumerate(LENGTHS):
        yield Slice("length", name, (third == place).astype(np.float64))
    for group in sorted({group for row in rows for group in row.food_groups}):
        yield Slice("food_group", group, np.array([float(group in row.food_groups) for row in rows]))


def slice_figures(
    sample: Sample, slices: Sequence[Slice], bootstrap: QuestionBootstrap
) -> Iterator[SliceFigure]:
    """The figures of every model on every slice of which it was asked about enough contexts."""
    measured = [column for column in sample.columns if column.metric in METRICS]
    for part in slices:
        for column in measured:
            for model, values in column.values.items():
                weights = column.asked(model) * part.inside
                if contexts_of(sample, weights) >= LEAST_CONTEXTS:
                    interval = counted(bootstrap, np.nan_to_num(values), weights)
                    yield SliceFigure(part.by, part.name, column.metric, model, interval, column.unit)


def _thirds(words: Sequence[int]) -> NDArray[np.intp]:
    """0, 1 or 2 for each length: its third; equal lengths are in one third."""
    borders = np.quantile(words, [1 / 3, 2 / 3])
    return np.searchsorted(borders, words, side="left")
