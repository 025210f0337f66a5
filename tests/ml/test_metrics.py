"""Intervals that cover, and shares by hand."""

import numpy as np
import pytest

from tasks.ml.metrics import bootstrap_mean, bootstrap_quantile, bootstrap_ratio, win_shares


def test_the_interval_covers_the_truth_about_19_times_in_20() -> None:
    draw = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        interval = bootstrap_mean(draw.exponential(2.0, size=80), 400, seed=trial)
        hits += interval.low <= 2.0 <= interval.high
    assert 0.89 <= hits / 300 <= 0.98


def test_the_interval_is_as_wide_as_the_standard_error_says() -> None:
    values = np.random.default_rng(1).normal(5, 3, size=400)
    interval = bootstrap_mean(values, 4000, seed=0)
    error = values.std() / 20
    assert interval.value == pytest.approx(values.mean())
    assert interval.n == 400
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_can_be_repeated() -> None:
    values = np.arange(10.0)
    assert bootstrap_mean(values, 200, 1) == bootstrap_mean(values, 200, 1)
    assert bootstrap_mean(values, 200, 1) != bootstrap_mean(values, 200, 2)
    assert bootstrap_mean(np.array([3.0]), 200, 1).low == 3.0


def test_no_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_mean(np.array([]), 200, 0)


def test_a_ratio_divides_sums_and_resamples_pairs() -> None:
    interval = bootstrap_ratio(np.array([2.0, 4.0, 9.0]), np.array([1.0, 2.0, 2.0]), 500, 0)
    assert interval.value == 3.0
    assert interval.low == pytest.approx(2.0)
    assert interval.high == pytest.approx(4.5)
    # Where every unit has the same ratio, resampling pairs leaves no spread.
    assert bootstrap_ratio(np.array([2.0, 4.0]), np.array([1.0, 2.0]), 500, 0).high == pytest.approx(2.0)


def test_wins_count_one_and_near_ties_one_half() -> None:
    ours, theirs = np.array([1.0, 0.0, 0.5, 0.5, 0.6]), np.array([0.0, 1.0, 0.5, 0.45, 0.5])
    assert win_shares(ours, theirs, 0.05 + 1e-9).tolist() == [1.0, 0.0, 0.5, 0.5, 1.0]
    assert win_shares(theirs, ours, 0.05 + 1e-9).tolist() == [0.0, 1.0, 0.5, 0.5, 0.0]


def test_a_quantile_has_an_interval_that_covers_it() -> None:
    found = bootstrap_quantile(np.arange(101.0), 0.95, 2000, 0)
    assert found.value == 95
    assert 85 < found.low < 95 < found.high <= 100
    draw = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        middle = bootstrap_quantile(draw.normal(3, 1, 60), 0.5, 300, trial)
        hits += middle.low <= 3 <= middle.high
    assert hits >= 180
