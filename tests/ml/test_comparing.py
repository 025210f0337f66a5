"""Who is called a winner: the right one, only where the adjusted p and the interval allow it."""

from itertools import product

import numpy as np
import pytest

from tasks.ml.columns import Better, Column, Sample
from tasks.ml.comparing import PAIRS, Comparison, compare
from tasks.ml.paired import ContextFlips

CONTEXTS = 40
FLIPS = 9999


def sample(*columns: Column, contexts: int = CONTEXTS) -> Sample:
    return Sample("test", tuple(f"q{n}" for n in range(contexts)), np.arange(contexts), columns)


def shifted(shift: float, better: Better | None = "higher", metric: str = "m", seed: int = 0) -> Column:
    """Distilled and aligned differ by a shift and noise of size 1."""
    draw = np.random.default_rng(seed)
    base = draw.normal(size=CONTEXTS)
    values = {"distilled": base, "aligned": base + shift + draw.normal(size=CONTEXTS)}
    return Column(metric, "u", better, values, np.ones(CONTEXTS))


def only(*columns: Column) -> Comparison:
    (found,) = compare([sample(*columns)], FLIPS, 0)
    return found


def test_a_clear_gain_has_its_winner() -> None:
    found = only(shifted(2.0))
    assert (found.model, found.against, found.winner) == ("aligned", "distilled", "aligned")
    assert found.low > 1
    assert found.n == CONTEXTS
    assert found.p == found.adjusted_p == pytest.approx(2 / (FLIPS + 1))


def test_the_sign_and_the_direction_decide_who_it_is() -> None:
    assert only(shifted(-2.0)).winner == "distilled"
    assert only(shifted(-2.0)).difference < -1
    assert only(shifted(-2.0, "lower")).winner == "aligned"
    assert only(shifted(2.0, "lower")).winner == "distilled"
    assert only(shifted(2.0, None)).winner is None


def test_no_difference_has_no_winner() -> None:
    assert only(shifted(0.0)).winner is None
    same = np.arange(float(CONTEXTS))
    found = only(Column("m", "u", "higher", {"distilled": same, "aligned": same}, np.ones(CONTEXTS)))
    assert (found.difference, found.p, found.winner) == (0.0, 1.0, None)


def test_a_winner_alone_is_none_among_many() -> None:
    alone = only(shifted(0.5, seed=1))
    assert 0.001 < alone.p < 0.02
    assert alone.winner == "aligned"
    others = [shifted(0.0, metric=f"m{n}", seed=n + 10) for n in range(60)]
    crowd = compare([sample(shifted(0.5, seed=1), *others)], FLIPS, 0)
    assert crowd[0].p == alone.p
    assert crowd[0].low == alone.low > 0
    assert crowd[0].adjusted_p > 0.05
    assert crowd[0].winner is None


def test_adjusted_p_values_are_holm_s_over_all_samples() -> None:
    first = sample(shifted(0.5, metric="a", seed=1), shifted(0.2, metric="b", seed=2))
    found = compare([first, sample(shifted(0.4, metric="c", seed=3))], FLIPS, 0)
    ordered = sorted(found, key=lambda one: one.p)
    highest = 0.0
    for place, one in enumerate(ordered):
        highest = max(highest, min(1.0, (3 - place) * one.p))
        assert one.adjusted_p == pytest.approx(highest)


def test_few_contexts_are_not_compared() -> None:
    def few(contexts: int) -> Sample:
        values = {"distilled": np.zeros(30), "aligned": np.ones(30)}
        weights = np.concatenate([np.ones(10), np.zeros(20)])
        numbers = np.arange(30) % contexts
        return Sample("few", tuple("q" * 30), numbers, (Column("m", "u", "higher", values, weights),))

    assert compare([few(5)], FLIPS, 0) == []
    (found,) = compare([few(6)], FLIPS, 0)
    assert (found.difference, found.n, found.winner) == (1.0, 10, "aligned")
    # Six contexts that all agree: as rare as one in 32.
    assert found.p == pytest.approx(2 / 64, abs=0.008)


def test_pairs_are_those_of_the_models_that_were_measured() -> None:
    names = ("unrefined", "teacher_zero_shot", "distilled", "aligned")
    column = Column("m", "u", "higher", {name: np.zeros(CONTEXTS) for name in names}, np.ones(CONTEXTS))
    found = [(one.model, one.against) for one in compare([sample(column)], 999, 0)]
    assert found == [pair for pair in PAIRS if "teacher_few_shot" not in pair]
    assert ("aligned", "unrefined") in found


def test_many_columns_at_once_are_each_as_it_would_be_alone() -> None:
    draw = np.random.default_rng(5)
    contexts = np.repeat(np.arange(9), 3)
    differences, weights = draw.normal(size=(3, 27)), draw.integers(0, 3, size=(3, 27)).astype(float)
    flips = ContextFlips(contexts, 1999, 3)
    for (interval, p), gap, weight in zip(
        flips.compare(differences, weights, 0.95), differences, weights, strict=True
    ):
        alone = flips.mean(gap, weight, 0.95)
        assert [interval.value, interval.low, interval.high] == pytest.approx(
            [alone.value, alone.low, alone.high]
        )
        assert interval.n == alone.n == (weight > 0).sum()
        low, high = flips.p_below(gap, weight), flips.p_below(-gap, weight)
        assert p == pytest.approx(min(1.0, 2 * min(low, high)))


def test_a_two_sided_p_value_counts_every_flip() -> None:
    gaps = np.array([1.0, 2.0, -0.5, 3.0, 1.5, 0.25])
    observed = gaps.sum()
    flipped = [sum(s * g for s, g in zip(signs, gaps, strict=True)) for signs in product((1, -1), repeat=6)]
    exact = sum(abs(one) >= observed - 1e-9 for one in flipped) / 64
    ((_, p),) = ContextFlips(np.arange(6), 40_000, 0).compare(gaps[None], np.ones((1, 6)), 0.95)
    assert p == pytest.approx(exact, abs=0.006)
