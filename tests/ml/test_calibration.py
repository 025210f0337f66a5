"""Calibration of a reward model's probabilities, with figures worked by hand."""

import math

import numpy as np
import pytest

from tasks.ml.calibration import (
    COLDEST,
    HOTTEST,
    brier_score,
    calibration,
    calibration_error,
    cross_fitted,
    fit_temperature,
    log_loss,
    reliability,
)


def margin(probability: float) -> float:
    """The margin that says so."""
    return math.log(probability / (1 - probability))


def test_bins_of_equal_mass_and_their_error() -> None:
    # Sure to 60 % and right once in two; sure to 70 % and 90 % and right both times.
    margins = np.array([margin(0.9), margin(0.6), -margin(0.6), margin(0.7)])
    least, most = reliability(margins, 2)
    assert (least.count, least.certainty, least.right) == (2, pytest.approx(0.6), 0.5)
    assert (most.count, most.certainty, most.right) == (2, pytest.approx(0.8), 1.0)
    assert calibration_error([least, most]) == pytest.approx((2 * 0.1 + 2 * 0.2) / 4, abs=1e-12)


def test_bins_may_differ_by_one() -> None:
    counts = [found.count for found in reliability(np.linspace(0.1, 1, 7), 3)]
    assert counts == [3, 2, 2]
    # Each bin counts by its mass: one of 3 that is off by 0.4 and one of 1 that is not.
    right = np.array([margin(0.6)] * 3 + [margin(1 - 1e-12)])
    assert calibration_error(reliability(right, 2)) == pytest.approx(
        (2 * 0.4 + 2 * abs(1 - 0.8)) / 4, abs=1e-9
    )


def test_equal_scores_are_a_coin() -> None:
    found = calibration(np.zeros(4))
    assert (found.error, found.brier) == (0.0, 0.25)
    assert found.log_loss == pytest.approx(math.log(2), abs=1e-12)


def test_brier_and_log_loss_are_of_the_outcome() -> None:
    margins = np.array([margin(0.8), margin(0.8), -margin(0.8)])
    assert brier_score(margins) == pytest.approx((0.04 + 0.04 + 0.64) / 3, abs=1e-12)
    expected = -(2 * math.log(0.8) + math.log(0.2)) / 3
    assert log_loss(margins) == pytest.approx(expected, abs=1e-12)
    assert log_loss(np.array([-2000.0])) == pytest.approx(2000)


def test_the_temperature_makes_certainty_what_is_right() -> None:
    # All margins are 3 or -3 and three of four are right: sigmoid(3 / T) must be 0.75, so T = 3 / ln 3.
    margins = np.array([3.0, 3.0, 3.0, -3.0])
    assert fit_temperature(margins) == pytest.approx(3 / math.log(3), rel=1e-9)


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_the_temperature_is_where_a_search_finds_it(scale: float) -> None:
    draw = np.random.default_rng(0)
    margins = scale * (draw.normal(0.5, 1, 300))
    tried = scale * np.geomspace(0.05, 20, 4001)
    best = min(tried, key=lambda t: float(np.log1p(np.exp(-margins / t)).mean()))
    assert fit_temperature(margins) == pytest.approx(best, rel=2e-3)


def test_a_temperature_has_its_ends() -> None:
    assert fit_temperature(np.array([1.0, 2.0])) == COLDEST
    assert fit_temperature(np.array([-1.0, -2.0, 1.0])) == HOTTEST
    assert fit_temperature(np.zeros(3)) == 1.0
    assert fit_temperature(np.array([])) == 1.0


def test_nobody_sets_the_temperature_of_their_own_question() -> None:
    # Ten questions of four preferences. Those of question 0 alone are all wrong: what scales them was fitted
    # where three of four are right, so it does not know of that.
    questions = np.repeat(np.arange(10), 4)
    margins = np.tile([3.0, 3.0, 3.0, -3.0], 10)
    margins[:4] = -3.0
    scaled = cross_fitted(margins, questions, seed=1)
    fold_mates = np.unique(questions[np.isclose(scaled, scaled[0])])
    assert 0 in fold_mates
    clean = 3 / math.log(3)
    np.testing.assert_allclose(scaled[:4], -3.0 / clean, rtol=1e-9)
    # The others were scaled with question 0 among those fitted: a hotter temperature.
    others = ~np.isin(questions, fold_mates)
    assert np.all(np.abs(scaled[others]) < math.log(3) - 0.01)


def test_scaling_mends_a_model_that_is_too_sure() -> None:
    draw = np.random.default_rng(3)
    gaps = draw.normal(0, 1.5, 2000)
    signs = np.where(draw.random(2000) < 1 / (1 + np.exp(-gaps)), 1, -1)
    margins = 4 * gaps * signs
    questions = np.repeat(np.arange(500), 4)
    before, after = calibration(margins), calibration(cross_fitted(margins, questions, 0))
    assert fit_temperature(margins) == pytest.approx(4, rel=0.1)
    assert before.error > 0.1
    assert after.error < 0.04
    assert after.log_loss < before.log_loss
    assert after.brier < before.brier
