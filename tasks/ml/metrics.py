"""Figures with intervals: every comparison is paired by question and resampled by question."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % percentile-bootstrap interval over n units."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: Values, resamples: int, seed: int) -> Interval:
    """Mean and 95 % interval by the percentile bootstrap (Efron 1979), resampling units with replacement.

    Give differences of two models on the same questions for a paired interval.

    Args:
        values: One number a unit. Shape [n], n at least 1.
        resamples: Number of bootstrap samples.
        seed: Of the resampling.

    Raises:
        ValueError: There are no values.
    """
    if not len(values):
        raise ValueError("an interval needs at least one value")
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(values), size=(resamples, len(values)))
    means = values[picks].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high), len(values))


def bootstrap_ratio(numerator: Values, denominator: Values, resamples: int, seed: int) -> Interval:
    """Ratio of two sums over the same units, with its interval, for instance nats per token."""
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(numerator), size=(resamples, len(numerator)))
    ratios = numerator[picks].sum(axis=1) / denominator[picks].sum(axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Interval(float(numerator.sum() / denominator.sum()), float(low), float(high), len(numerator))


def win_shares(ours: Values, theirs: Values, margin: float) -> Values:
    """1 where ours is better by more than `margin`, 0 where theirs is, one half otherwise. Shape [n]."""
    difference = ours - theirs
    return np.where(difference > margin, 1.0, np.where(difference < -margin, 0.0, 0.5))
