"""Who is better at what: paired differences, one correction for all of them, winners where that allows.

A comparison's p-value and interval come from flips of whole contexts (`tasks.ml.paired`). All p-values of a
table are adjusted together by Holm's method, so that in at most 5 % of the tables between models that differ
in nothing there is any winner at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tasks.ml.columns import Better, Column, Sample, contexts_of
from tasks.ml.metrics import Interval
from tasks.ml.paired import ContextFlips
from tasks.ml.significance import holm

# Each model against the student before it learnt, the student against its teacher, and what alignment did.
PAIRS = (
    ("teacher_zero_shot", "unrefined"),
    ("teacher_few_shot", "unrefined"),
    ("distilled", "unrefined"),
    ("aligned", "unrefined"),
    ("distilled", "teacher_zero_shot"),
    ("distilled", "teacher_few_shot"),
    ("aligned", "distilled"),
)
CONFIDENCE = 0.95
LEVEL = 0.05
LEAST_CONTEXTS = 6  # of fewer, flips give no interval of 95 %: 2^-5 is more than 2.5 %


@dataclass(frozen=True)
class Comparison:
    """One model against another on one metric.

    Attributes:
        metric: Of the difference; of win rates it is the share of wins less one half.
        model: Whose value comes first in the difference.
        against: The other.
        difference: Mean over questions.
        low: Of its 95 % interval.
        high: Of its 95 % interval.
        p: Two-sided, of this comparison alone.
        adjusted_p: Adjusted for all comparisons of the table.
        winner: The better model, where adjusted p and interval allow to name one.
        better: Which values are better; None: neither.
        unit: Of the difference.
        n: Number of questions.
    """

    metric: str
    model: str
    against: str
    difference: float
    low: float
    high: float
    p: float
    adjusted_p: float
    winner: str | None
    better: Better | None
    unit: str
    n: int

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)


def compare(samples: Sequence[Sample], flips: int, seed: int) -> list[Comparison]:
    """Every pair of `PAIRS` on every metric that was measured on both, on enough contexts.

    Args:
        samples: Columns by the questions that they were measured on.
        flips: Random sets of contexts behind each comparison.
        seed: Of the draws.
    """
    found = [one for sample in samples for one in _compare_sample(sample, flips, seed)]
    adjusted = holm([p for *_, p in found])
    return [
        _verdict(column, pair, interval, p, own)
        for (column, pair, interval, p), own in zip(found, adjusted, strict=True)
    ]


def _compare_sample(
    sample: Sample, flips: int, seed: int
) -> Iterator[tuple[Column, tuple[str, str], Interval, float]]:
    asked = [
        (column, pair)
        for column in sample.columns
        for pair in PAIRS
        if column.compares(*pair) and contexts_of(sample, column.asked(*pair)) >= LEAST_CONTEXTS
    ]
    if not asked:
        return
    differences = np.stack([column.difference(*pair) for column, pair in asked])
    weights = np.stack([column.asked(*pair) for column, pair in asked])
    measured = ContextFlips(sample.contexts, flips, seed).compare(differences, weights, CONFIDENCE)
    for (column, pair), (interval, p) in zip(asked, measured, strict=True):
        # The coins of a few contexts may fall so that an end is infinite all the same.
        if np.isfinite([interval.low, interval.high]).all():
            yield column, pair, interval, p


def _verdict(
    column: Column, pair: tuple[str, str], interval: Interval, p: float, adjusted: float
) -> Comparison:
    model, against = pair
    is_sure = adjusted < LEVEL and (interval.low > 0 or interval.high < 0)
    winner = None
    if is_sure and column.better is not None:
        winner = model if (interval.value > 0) == (column.better == "higher") else against
    return Comparison(
        metric=column.metric,
        model=model,
        against=against,
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        p=p,
        adjusted_p=adjusted,
        winner=winner,
        better=column.better,
        unit=column.unit,
        n=interval.n,
    )
