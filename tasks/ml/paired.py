"""Paired comparisons of two models on the same questions: intervals and tests by flips of whole contexts.

If two models are equally good, a difference on a context is as likely as its negative, whatever the questions
of the context have in common (the randomisation test of pairs, Fisher 1935). Turned round: a shift d is not
refuted while the flipped sum of S_c - d n_c reaches the observed one often enough, and flipping a set F of
contexts reaches it exactly where the mean difference over F is at most d. So the ends of the interval are
quantiles of the means over random sets of contexts, each in it by the toss of a coin (typical values,
Hartigan 1969). They err as rarely as they say with any number of contexts, if differences are symmetric; a
percentile bootstrap of few is too narrow.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.ml.metrics import Interval, Values

_DIGITS = 12  # sums that cancel leave the last digits of a double behind


class ContextFlips:
    """Random sets of contexts, the same for every comparison.

    Args:
        contexts: Number of each question's context, from 0. Shape [Q].
        resamples: Number of sets.
        seed: Of the draws.
    """

    def __init__(self, contexts: NDArray[np.int64], resamples: int, seed: int) -> None:
        self._contexts = contexts
        self._count = int(contexts.max()) + 1
        coins = np.random.default_rng(seed).integers(0, 2, size=(resamples, self._count), dtype=np.int8)
        self._sets = coins.astype(np.float64)

    def mean(self, differences: Values, weights: Values, confidence: float) -> Interval:
        """Weighted mean difference with its interval; `n` is the number of questions that have weight.

        The interval is infinite where there are too few contexts for its level.

        Args:
            differences: Of each question. Shape [Q].
            weights: Shape [Q]; 0 leaves a question out, and not all are 0.
            confidence: Level of the interval; either end errs in half of the rest.
        """
        sums = self._sets @ self._sums(weights * differences)
        return self._interval(differences, weights, sums, self._sets @ self._sums(weights), confidence)

    def compare(
        self, differences: Values, weights: Values, confidence: float
    ) -> list[tuple[Interval, float]]:
        """What `mean` says of K columns, each with a two-sided p-value, at the cost of one matrix product.

        The p-value is twice the smaller chance of a mean this low, and of one this high, if there were no
        difference; it is at least 2 / (1 + resamples), and 1 at most.

        Args:
            differences: Shape [K, Q].
            weights: Shape [K, Q]; every column has some.
            confidence: Level of the intervals.
        """
        sums = self._sets @ np.stack([self._sums(column) for column in weights * differences], axis=1)
        drawn = self._sets @ np.stack([self._sums(column) for column in weights], axis=1)
        found = []
        for place, (gap, weight) in enumerate(zip(differences, weights, strict=True)):
            interval = self._interval(gap, weight, sums[:, place], drawn[:, place], confidence)
            flipped = np.round(sums[:, place], _DIGITS)
            rarer = min((flipped >= 0).sum(), (flipped <= 0).sum())
            found.append((interval, min(1.0, float(2 * (1 + rarer) / (1 + len(flipped))))))
        return found

    def p_below(self, differences: Values, weights: Values) -> float:
        """Probability of a mean this low or lower if there were no difference. See `mean`."""
        flipped = np.round(self._sets @ self._sums(weights * differences), _DIGITS)
        return float((1 + (flipped >= 0).sum()) / (1 + len(flipped)))

    def _interval(
        self, differences: Values, weights: Values, sums: Values, drawn: Values, confidence: float
    ) -> Interval:
        """The interval of a mean from the sums of differences [S] and weights [S] over random sets."""
        value = float((weights * differences).sum() / weights.sum())
        empty = drawn == 0
        means = np.round(sums / np.where(empty, 1, drawn), _DIGITS)
        # The true difference undercuts the mean of this rank in half of the rest at most.
        rank = int(round((1 - confidence) / 2 * (len(means) + 1), _DIGITS))
        # A flip of nothing always reaches the observed sum, whatever the shift.
        low = _ranked(np.where(empty, -np.inf, means), rank)
        high = -_ranked(np.where(empty, -np.inf, -means), rank)
        return Interval(value, low, high, int((weights > 0).sum()))

    def _sums(self, values: Values) -> Values:
        return np.bincount(self._contexts, weights=values, minlength=self._count).astype(np.float64)


def _ranked(means: Values, rank: int) -> float:
    return float(np.partition(means, rank - 1)[rank - 1]) if rank else -np.inf


def number_contexts(contexts: list[str]) -> NDArray[np.int64]:
    """Numbers of contexts from 0; a question without one is a context of its own. Shape [Q]."""
    names = [context or f"question {place}" for place, context in enumerate(contexts)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
