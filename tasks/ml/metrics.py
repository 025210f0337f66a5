"""Figures with intervals: every comparison is paired by question and resampled by question."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile-bootstrap interval, of 95 % unless said otherwise, over n units."""

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


def bootstrap_quantile(values: Values, share: float, resamples: int, seed: int) -> Interval:
    """A quantile, such as the median with `share` 0.5, and its 95 % percentile-bootstrap interval."""
    generator = np.random.default_rng(seed)
    picks = generator.integers(0, len(values), size=(resamples, len(values)))
    low, high = np.percentile(np.quantile(values[picks], share, axis=1), [2.5, 97.5])
    return Interval(float(np.quantile(values, share)), float(low), float(high), len(values))


class QuestionBootstrap:
    """Intervals of shares whose units come in questions: whole questions are drawn, all units of each.

    Units of one question are not independent, so that drawing them one by one would make intervals too
    narrow (the cluster bootstrap, Davison and Hinkley 1997, section 3.8). Every share is taken over the same
    draws, so the share of a difference is a paired one.

    Args:
        questions: Number of each unit's question, from 0. Shape [N].
        resamples: Number of draws.
        confidence: Level of the intervals.
        seed: Of the draws.
    """

    def __init__(self, questions: NDArray[np.int64], resamples: int, confidence: float, seed: int) -> None:
        self._questions = questions
        self._count = int(questions.max()) + 1
        equal = np.full(self._count, 1 / self._count)
        draws = np.random.default_rng(seed).multinomial(self._count, equal, size=resamples)
        self._draws = draws.astype(np.float64)
        self._tails = [50 * (1 - confidence), 50 * (1 + confidence)]

    def share(self, values: Values, weights: Values) -> Interval:
        """Weighted mean of values with its percentile interval; `n` is the number of questions.

        Args:
            values: Shape [N].
            weights: Shape [N]; 0 leaves a unit out, and not all are 0.
        """
        drawn = self._draws @ self._sums(weights)
        some = drawn > 0  # a draw may miss all questions of a small slice
        ratios = (self._draws @ self._sums(weights * values))[some] / drawn[some]
        low, high = np.percentile(ratios, self._tails)
        value = float((weights * values).sum() / weights.sum())
        return Interval(value, float(low), float(high), int((self._sums(weights) > 0).sum()))

    def _sums(self, values: Values) -> Values:
        return np.bincount(self._questions, weights=values, minlength=self._count).astype(np.float64)


def win_shares(ours: Values, theirs: Values, margin: float) -> Values:
    """1 where ours is better by more than `margin`, 0 where theirs is, one half otherwise. Shape [n]."""
    difference = ours - theirs
    return np.where(difference > margin, 1.0, np.where(difference < -margin, 0.0, 0.5))
