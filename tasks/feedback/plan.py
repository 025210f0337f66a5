"""What to ask people next: the pairs of answers whose verdicts would tell most of all other verdicts.

The head of the reward model is linear in an answer's last hidden state, so what it does not know yet is a
covariance of its weights (Laplace's approximation on the last layer; Daxberger et al. 2021). A pair is worth
the mean information that its verdict holds about the verdict of another pair of the pool: the expected
predictive information gain (Bickford Smith et al. 2023), here between Gaussians. It is large where the model
does not foresee the verdict (uncertainty) and where many others hang together with it (coverage). Pairs are
taken greedily, each given those before it, so that no two tell the same.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.ml.seeding import random_for

Array = NDArray[np.float64]

# Before anything is asked, rewards of answers to one question are taken to differ by about so much, in nats.
PRIOR_DEVIATION = 8.0
# Directions of the hidden states that are kept; the labels of one plan cannot tell more apart.
MOST_DIRECTIONS = 64
LEAST_WEIGHT = 1e-3  # of a verdict that is as good as certain
MOST_TARGETS = 200


@dataclass(frozen=True)
class PairPool:
    """P pairs of answers, each to one question.

    Attributes:
        differences: Features (see `directions`) of the first answer less those of the second. Shape [P, D].
        gaps: Reward of the first less that of the second, nats. Shape [P].
        questions: The question of each pair.
        tasks: Its family.
    """

    differences: Array
    gaps: Array
    questions: Sequence[str]
    tasks: Sequence[str]


@dataclass(frozen=True)
class Planned:
    """A pair that is to be asked.

    Attributes:
        pair: Its index in the pool.
        gain: Bits that its verdict would tell of a target's, on average, after all chosen before it.
        deviation: Standard deviation of its difference in reward before it is asked, nats.
    """

    pair: int
    gain: float
    deviation: float


def directions(hidden: Array, questions: Sequence[str]) -> Array:
    """A matrix that takes hidden states to features in which the prior is PRIOR_DEVIATION in every direction.

    It keeps the principal directions in which answers to one question differ, since nothing else is compared.

    Args:
        hidden: Last hidden states of answers. Shape [M, H].
        questions: The question of each.

    Returns:
        Shape [H, D], D at most MOST_DIRECTIONS. The mean squared length of the difference of two answers to
        one question is the square of PRIOR_DEVIATION.
    """
    within = np.concatenate(
        [hidden[members] - hidden[members].mean(0) for members in _members(questions).values()]
    )
    _, _, axes = np.linalg.svd(within, full_matrices=False)
    kept: Array = axes[:MOST_DIRECTIONS].T
    # Two draws from one question differ by twice the variance within it.
    spread = 2 * ((within @ kept) ** 2).sum() / max(len(within) - len(_members(questions)), 1)
    return kept * (PRIOR_DEVIATION / math.sqrt(spread)) if spread > 0 else kept


def _members(questions: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        members.setdefault(question, []).append(index)
    return members


def verdict_weights(gaps: Array) -> Array:
    """Fisher information of a verdict about its difference in reward under Bradley–Terry: p (1 - p). [P]."""
    p = 1 / (1 + np.exp(-np.clip(gaps, -40, 40)))
    return np.asarray(p * (1 - p), dtype=np.float64)


def draw_targets(pool: PairPool, *identity: object) -> list[int]:
    """Pairs that stand for all of a pool: at most MOST_TARGETS, drawn at random."""
    count = len(pool.questions)
    return sorted(random_for("targets", *identity).sample(range(count), min(count, MOST_TARGETS)))


def covariance_after(differences: Array, gaps: Array) -> Array:
    """Covariance of the head's weights after some pairs were judged, from a standard normal prior. [D, D].

    Args:
        differences: Of the judged pairs. Shape [N, D]; N may be 0.
        gaps: What the reward model says of them, nats. Shape [N].
    """
    information = (differences * verdict_weights(gaps)[:, None]).T @ differences
    inverse = np.linalg.inv(np.eye(differences.shape[1]) + information)
    return np.asarray(inverse, dtype=np.float64)


def plan(
    pool: PairPool, covariance: Array, targets: Sequence[int], count: int, per_task: int
) -> list[Planned]:
    """The pairs to ask, the most telling first; at most one of each question.

    A verdict is its difference in reward seen through noise of variance 1 / w, w being the information of
    `verdict_weights`. Two verdicts whose correlation is r share -1/2 log2(1 - r^2) bits.

    Args:
        pool: What may be asked.
        covariance: Of the head's weights now. Shape [D, D].
        targets: Indices of the pairs whose verdicts are to be foreseen; at least one.
        count: Most pairs wanted.
        per_task: Most pairs of one family.
    """
    left, noise = covariance.copy(), 1 / np.maximum(verdict_weights(pool.gaps), LEAST_WEIGHT)
    aims = list(targets)
    variances = np.einsum("pi,ij,pj->p", pool.differences, left, pool.differences, optimize=True)
    shared = pool.differences @ left @ pool.differences[aims].T
    is_free = variances > 1e-12
    questions, tasks = np.asarray(pool.questions), np.asarray(pool.tasks)
    asked: Counter[str] = Counter()
    chosen: list[Planned] = []
    while len(chosen) < count and is_free.any():
        seen = variances + noise
        gains = -0.5 * np.log2(1 - shared**2 / np.outer(seen, seen[aims])).mean(1)
        best = int(np.where(is_free, gains, -1).argmax())
        chosen.append(Planned(best, float(gains[best]), math.sqrt(max(variances[best], 0.0))))
        is_free &= questions != questions[best]
        asked[str(tasks[best])] += 1
        if asked[str(tasks[best])] >= per_task:
            is_free &= tasks != tasks[best]
        # Sherman and Morrison: what the verdict leaves open.
        way = left @ pool.differences[best]
        along = pool.differences @ way
        left -= np.outer(way, way) / seen[best]
        shared = shared - np.outer(along, along[aims]) / seen[best]
        variances = variances - along**2 / seen[best]
    return chosen
