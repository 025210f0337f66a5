"""Intervals and tests by flips of contexts, beside all flips counted by a plain loop."""

import itertools

import numpy as np
import pytest

from tasks.ml.paired import ContextFlips, number_contexts

CONTEXTS = np.array([0, 0, 1, 2, 2, 2, 3, 4, 5, 6])
DIFFERENCES = np.array([0.5, -0.25, 1.0, 0.25, 0.0, -1.5, 0.75, 0.5, 1.25, 0.25])
WEIGHTS = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 0, 2])


def all_flips() -> list[tuple[float, float]]:
    """Sum and weight of every set of the 7 contexts."""
    found = []
    for chosen in itertools.product((False, True), repeat=7):
        inside = [place for place, context in enumerate(CONTEXTS) if chosen[context]]
        total = sum(WEIGHTS[place] * DIFFERENCES[place] for place in inside)
        found.append((total, sum(WEIGHTS[place] for place in inside)))
    return found


def test_the_ends_are_quantiles_of_the_means_over_all_sets() -> None:
    flips = ContextFlips(CONTEXTS, 40_000, seed=1)
    found = flips.mean(DIFFERENCES, WEIGHTS, confidence=0.7)
    assert found.value == pytest.approx((0.25 + 1.0 - 1.25 + 0.75 + 0.5 + 0.5) / 10)
    assert found.n == 9
    means = sorted(total / weight if weight else -np.inf for total, weight in all_flips())
    # Of 128 sets, the 19.2 lowest are 15 %; a draw of 40,000 sets is off by a rank or so.
    assert means[17] <= found.low <= means[21]
    means = sorted(total / weight if weight else np.inf for total, weight in all_flips())
    assert means[-22] <= found.high <= means[-18]


def test_p_is_the_share_of_flips_that_sum_to_as_little() -> None:
    flips = ContextFlips(CONTEXTS, 40_000, seed=1)
    # A flip of the set F sums to T - 2 S_F: no more than T where S_F is not negative.
    share = sum(total >= 0 for total, _ in all_flips()) / 128
    assert 0.5 < share < 0.95
    assert flips.p_below(DIFFERENCES, WEIGHTS) == pytest.approx(share, abs=0.01)
    other = sum(total <= 0 for total, _ in all_flips()) / 128
    assert flips.p_below(-DIFFERENCES, WEIGHTS) == pytest.approx(other, abs=0.01)


def test_the_interval_leaves_out_zero_exactly_where_the_test_refutes_it() -> None:
    contexts = np.repeat(np.arange(9), 3)
    draw = np.random.default_rng(0)
    everywhere = np.ones(27)
    beyond = 0
    for seed in range(60):
        differences = draw.normal(0.45, 1, size=27).round(1)
        flips = ContextFlips(contexts, 999, seed)
        is_above = flips.mean(differences, everywhere, 0.95).low > 0
        assert is_above == (flips.p_below(-differences, everywhere) <= 0.025)
        beyond += is_above
    assert 10 < beyond < 50


def test_turned_differences_have_the_turned_interval() -> None:
    flips = ContextFlips(CONTEXTS, 999, seed=3)
    one, other = (flips.mean(d, WEIGHTS, 0.8) for d in (DIFFERENCES, -DIFFERENCES))
    assert (one.value, one.low, one.high) == (-other.value, -other.high, -other.low)
    shifted = flips.mean(DIFFERENCES + 2, WEIGHTS, 0.8)
    assert (shifted.low, shifted.high) == pytest.approx((one.low + 2, one.high + 2))


@pytest.mark.parametrize("contexts", [6, 12])
def test_the_ends_err_as_rarely_as_they_say(contexts: int) -> None:
    # Heavy tails and one shift for a whole context: where a percentile bootstrap errs twice as often.
    draw = np.random.default_rng(contexts)
    numbers, everywhere = np.repeat(np.arange(contexts), 5), np.ones(5 * contexts)
    low = high = 0
    for seed in range(1500):
        differences = 0.3 + (draw.standard_t(3, size=contexts)[numbers] + draw.normal(size=5 * contexts))
        found = ContextFlips(numbers, 199, seed).mean(differences, everywhere, 0.8)
        low += found.low > 0.3
        high += found.high < 0.3
    # 10 % at either end; the standard deviation of the count is 12.
    assert 115 < low < 186
    assert 115 < high < 186


def test_too_few_contexts_tell_nothing_however_many_questions() -> None:
    # 5 contexts: the flip of nothing alone is 1 in 32, more than 2.5 %.
    five, six = np.repeat(np.arange(5), 100), np.repeat(np.arange(9), 100)
    ones = np.ones(500)
    assert ContextFlips(five, 1999, 0).mean(ones, ones, 0.95).low == -np.inf
    found = ContextFlips(six, 1999, 0).mean(np.ones(900), np.ones(900), 0.95)
    assert (found.low, found.high) == (1, 1)
    # Nor do so many resamples that there is no rank as low.
    assert ContextFlips(six, 38, 0).mean(np.ones(900), np.ones(900), 0.95).low == -np.inf


def test_a_question_without_a_context_is_one_of_its_own() -> None:
    assert number_contexts(["a", "", "b", "a", "", "b"]).tolist() == [0, 1, 2, 0, 3, 2]
