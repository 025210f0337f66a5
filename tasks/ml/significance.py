"""Exact tests on counts, and Holm's correction for many of them at once."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

MOST_EXACT = 1000


def binomial_tail(successes: int, trials: int, chance: float) -> float:
    """P(X >= successes) for X ~ Binomial(trials, chance), with 0 < chance < 1; 1 without trials."""
    if successes <= 0:
        return 1.0
    whole = math.lgamma(trials + 1)
    terms = (
        math.exp(
            whole
            - math.lgamma(count + 1)
            - math.lgamma(trials - count + 1)
            + count * math.log(chance)
            + (trials - count) * math.log1p(-chance)
        )
        for count in range(successes, trials + 1)
    )
    return min(1.0, math.fsum(terms))


def symmetry_test(differences: Iterable[int], two_sided: bool = False) -> float:
    """Probability of a sum this large if every difference had its sign by the toss of a coin.

    Exact (Fisher's randomisation test of pairs, 1935) up to `MOST_EXACT` differences, normal beyond.

    Args:
        differences: Independent of each other, symmetric around zero if the hypothesis holds.
        two_sided: Whether too low a sum counts against it as well.
    """
    sizes = np.array([difference for difference in differences if difference], dtype=np.int64)
    if not len(sizes):
        return 1.0
    total, most = int(sizes.sum()), int(abs(sizes).sum())
    observed = abs(total) if two_sided else total
    if len(sizes) > MOST_EXACT:
        tail = math.erfc(observed / math.sqrt(2 * float((sizes**2).sum()))) / 2
    else:
        # chance[most + s]: of the sum s.
        chance = np.zeros(2 * most + 1)
        chance[most] = 1
        for size in abs(sizes):
            tossed = np.zeros_like(chance)
            tossed[size:] = chance[:-size] / 2
            tossed[:-size] += chance[size:] / 2
            chance = tossed
        tail = float(chance[most + observed :].sum())
    return min(1.0, 2 * tail if two_sided else tail)


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p: below a level for any true hypothesis at most with that probability (Holm 1979)."""
    adjusted = [0.0] * len(values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        highest = max(highest, min(1.0, (len(values) - place) * values[index]))
        adjusted[index] = highest
    return adjusted
