"""How two samples of questions would differ by chance: a permutation test that keeps contexts whole.

Questions about one context are not independent, so contexts are what is exchanged. The new sample has so many
contexts with so many questions of each; every draw takes as many contexts from both samples together, and as
many questions from them. Whatever is measured between the new sample and the rest is measured between the
drawn one and its rest. If both samples come from one distribution, the new one is one draw among the others
(Good 2005, chapter 3; for clusters: the context is the unit).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Values = NDArray[np.float64]
# How far the first sample is from the second in each of B divisions, by the members of each: [B, N] to [B].
Distance = Callable[[Mask, Mask], Values]
_AT_ONCE = 100  # draws, so that tables of words stay small


class Pool:
    """Members of both samples.

    Args:
        units: What each member belongs to, such as a context. N of them.
        is_new: Whether it is of the new sample. Shape [N].

    Attributes:
        is_new: As given.
        rest: Members of the units that the new sample has nothing of: what it is compared with. Shape [N].
    """

    def __init__(self, units: Sequence[str], is_new: Mask) -> None:
        _, self._unit = np.unique(np.array(units, dtype=object), return_inverse=True)
        self._count = int(self._unit.max(initial=-1)) + 1
        self.is_new = is_new
        own = np.bincount(self._unit[is_new], minlength=self._count)
        self._sizes = np.sort(own[own > 0])[::-1]
        self.rest: Mask = (own == 0)[self._unit]

    @property
    def new_units(self) -> int:
        """Units that the new sample has something of."""
        return len(self._sizes)

    @property
    def rest_units(self) -> int:
        """Units that it is compared with."""
        return self._count - len(self._sizes)

    def draws(self, count: int, seed: int) -> Iterator[tuple[Mask, Mask]]:
        """Members of drawn samples with the new one's number and sizes of units, and of their rests.

        The largest unit drawn gives as many members as the new sample's largest has, and so on; one that is
        too small gives all.

        Args:
            count: Number of draws.
            seed: Of the draws.

        Yields:
            Some draws at a time. Shapes [B, N].
        """
        generator = np.random.default_rng(seed)
        held = np.bincount(self._unit, minlength=self._count)
        starts = np.concatenate([[0], np.cumsum(held)[:-1]])
        for start in range(0, count, _AT_ONCE):
            some = min(_AT_ONCE, count - start)
            order = generator.random((some, self._count)).argsort(1)[:, : len(self._sizes)]
            by_size = np.take_along_axis(order, np.argsort(-held[order], axis=1, kind="stable"), 1)
            most = np.zeros((some, self._count), dtype=np.int64)
            np.put_along_axis(most, by_size, self._sizes[None], 1)
            # Unit by unit, and within a unit in an order of its own.
            shuffled = (self._unit + generator.random((some, len(self._unit)))).argsort(1)
            units = self._unit[shuffled]
            place = np.arange(len(self._unit)) - starts[units]
            drawn = np.zeros(shuffled.shape, dtype=np.bool_)
            np.put_along_axis(drawn, shuffled, place < np.take_along_axis(most, units, 1), 1)
            yield drawn, (most == 0)[:, self._unit]


@dataclass(frozen=True)
class Chance:
    """A distance beside what it is by chance.

    Attributes:
        seen: Between the new sample and its rest.
        mean: Between the drawn samples and theirs.
        p: How often it is as large by chance; the new sample counts as one of the draws, so that p is exact:
            (1 + as large) / (1 + draws).
    """

    seen: float
    mean: float
    p: float


def chances_of(pool: Pool, distances: Sequence[Distance], count: int, seed: int) -> list[Chance]:
    """Each distance beside what it is by chance.

    Args:
        pool: Both samples, with at least one unit left to compare with.
        distances: What is measured.
        count: Number of draws.
        seed: Of the draws.
    """
    drawn: list[list[Values]] = [[] for _ in distances]
    for new, rest in pool.draws(count, seed):
        for distance, values in zip(distances, drawn, strict=True):
            values.append(distance(new, rest))
    found = []
    for distance, values in zip(distances, drawn, strict=True):
        seen, by_chance = float(distance(pool.is_new[None], pool.rest[None])[0]), np.concatenate(values)
        # Sums of the same numbers in another order differ in their last digits.
        as_large = int((by_chance >= seen - 1e-6).sum())
        found.append(Chance(seen, float(by_chance.mean()), (1 + as_large) / (1 + count)))
    return found
