"""Draws that keep contexts whole and have the new sample's sizes; p by enumeration."""

from itertools import combinations

import numpy as np
import pytest

from tasks.ml.matched_draws import Mask, Pool, Values, chances_of

UNITS = ["a"] * 4 + ["b"] * 4 + ["c"] * 2 + ["d"] * 3 + ["e"]


def pool_of(new: list[int]) -> Pool:
    is_new = np.zeros(len(UNITS), dtype=bool)
    is_new[new] = True
    return Pool(UNITS, is_new)


def all_draws(pool: Pool, count: int, seed: int) -> tuple[Mask, Mask]:
    new, rest = zip(*pool.draws(count, seed), strict=True)
    return np.concatenate(new), np.concatenate(rest)


def test_the_rest_has_nothing_of_the_new_contexts() -> None:
    pool = pool_of([0, 1, 10])  # two of a, one of d
    assert [UNITS[place] for place in np.flatnonzero(pool.rest)] == ["b"] * 4 + ["c"] * 2 + ["e"]
    assert (pool.new_units, pool.rest_units) == (2, 3)


def test_a_draw_has_the_sizes_of_the_new_sample() -> None:
    # Three questions of one context and one of another: never two of the second, never a third context.
    for drawn, rest in zip(*all_draws(pool_of([0, 1, 2, 10]), 230, seed=3), strict=True):
        names = [UNITS[place] for place in np.flatnonzero(drawn)]
        sizes = sorted((names.count(name) for name in set(names)), reverse=True)
        assert len(sizes) == 2
        assert sizes[1] == 1
        largest = max(UNITS.count(name) for name in set(names))
        assert sizes[0] == min(3, largest)
        assert not (drawn & rest).any()
        assert {UNITS[place] for place in np.flatnonzero(rest)} == set(UNITS) - set(names)


def test_every_member_and_every_context_is_drawn_alike() -> None:
    drawn, _ = all_draws(pool_of([0, 4]), 4000, seed=1)
    counts = drawn.sum(0)
    # Two contexts of five, one question of each: 2/5 of the draws for e, a quarter of that for each of a.
    assert counts[-1] / 4000 == pytest.approx(0.4, abs=0.03)
    assert counts[:4] / 4000 == pytest.approx(np.full(4, 0.1), abs=0.02)


def test_the_same_seed_draws_the_same() -> None:
    one, other, third = (all_draws(pool_of([0, 4]), 120, seed)[0] for seed in (1, 1, 2))
    assert len(one) == 120
    assert (one == other).all()
    assert (one != third).any()


def test_p_against_all_draws_there_are() -> None:
    # Six contexts of one member each; the two new ones have the largest sum but one of all 15 pairs.
    values = np.array([9.0, 5.0, 7.0, 1.0, 2.0, 3.0])
    new = np.array([True, True, False, False, False, False])
    pool = Pool([str(place) for place in range(6)], new)
    all_sums = [values[list(pair)].sum() for pair in combinations(range(6), 2)]
    wanted = np.mean([total >= 14 for total in all_sums])

    def total(ours: Mask, rest: Mask) -> Values:
        return ours @ values

    [found] = chances_of(pool, [total], 4000, seed=0)
    assert found.seen == 14
    assert wanted == pytest.approx(2 / 15)
    assert found.p == pytest.approx(wanted, abs=0.02)
    assert found.mean == pytest.approx(np.mean(all_sums), abs=0.1)


def test_p_is_never_zero_and_one_if_nothing_differs() -> None:
    pool = Pool([str(place) for place in range(30)], np.arange(30) < 8)

    def first_eight(ours: Mask, rest: Mask) -> Values:
        return ours[:, :8].sum(1) / 8

    def same(ours: Mask, rest: Mask) -> Values:
        return np.full(len(ours), 0.5)

    # One draw of 5,852,925 has the first eight.
    least, alike = chances_of(pool, [first_eight, same], 99, seed=0)
    assert least.p == pytest.approx(1 / 100)
    assert alike.p == 1
