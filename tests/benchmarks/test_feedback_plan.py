"""The simulation behind `labels saved`: its figures worked by hand, its learner at its optimum."""

import math

import numpy as np
import pytest

from benchmarks.feedback_plan import interval_of, labels_saved
from benchmarks.feedback_plan_pools import latent
from benchmarks.feedback_plan_ways import BATCH, LABELS, WAYS, annotate, entropy, fit, learn, make_task


def test_labels_saved_are_counted_to_where_a_curve_stays_above() -> None:
    # LABELS / BATCH rounds; random choice ends at 0.8.
    rounds = LABELS // BATCH
    baseline = np.linspace(0.5, 0.8, rounds)
    slow = np.full(rounds, 0.7)
    assert labels_saved(slow, baseline) == 0
    assert labels_saved(np.full(rounds, 0.9), baseline) == LABELS - BATCH
    # It touches 0.85 early, falls back, and crosses 0.8 half-way between rounds 5 and 6 for good.
    curve = np.array([0.6, 0.85, 0.7, 0.7, 0.7, 0.9, *[0.9] * (rounds - 6)])
    assert labels_saved(curve, baseline) == pytest.approx(LABELS - 5.5 * BATCH)
    # Random choice beside itself saves nothing.
    assert labels_saved(baseline, baseline) == pytest.approx(0)


def test_the_interval_keeps_a_seed_s_curves_together() -> None:
    rounds = LABELS // BATCH
    baselines = np.stack([np.linspace(0.4, 0.6, rounds), np.linspace(0.5, 0.9, rounds)])
    assert interval_of(baselines, baselines) == pytest.approx((0, 0))


def test_a_fitted_head_is_where_the_posterior_has_no_slope() -> None:
    draw = np.random.default_rng(1)
    differences, weights = draw.normal(size=(12, 3)), draw.exponential(size=(2, 12))
    start = draw.normal(size=(2, 3))
    heads = fit(differences, weights, start)
    for head, weight, centre in zip(heads, weights, start, strict=True):
        slope = centre - head
        for row, times in zip(differences, weight, strict=True):
            slope = slope + times * row / (1 + math.exp(row @ head))
        assert slope == pytest.approx(np.zeros(3), abs=1e-6)


def test_entropy_in_nats() -> None:
    assert entropy(np.array([0.5, 0.25, 0.0])) == pytest.approx(
        [math.log(2), -0.25 * math.log(0.25) - 0.75 * math.log(0.75), 0], abs=1e-9
    )


@pytest.mark.parametrize("name", WAYS)
def test_every_way_asks_new_pairs_of_different_questions(name: str) -> None:
    task = make_task(latent(0, questions=160), 0)
    curve, ties = learn(task, WAYS[name], 0)
    assert len(curve) == LABELS // BATCH
    assert 0 < ties < 0.5
    assert curve[-1] > curve[0]
    assert learn(task, WAYS[name], 0) == (curve, ties)


def test_training_questions_do_not_test() -> None:
    answers = latent(1, questions=40)
    task = make_task(answers, 1)
    # 24 and 16 questions, 6 pairs of 4 answers each; those of equal worth do not test.
    assert len(task.true) == 24 * 6
    assert len(set(task.pool.questions)) == 24
    assert 0 < len(task.tested) <= 16 * 6


def test_annotators_tie_what_is_close() -> None:
    answers = latent(2, questions=40)
    task = make_task(answers, 2)
    quiet = np.random.default_rng(0)
    clear = [pair for pair, gap in enumerate(task.true) if abs(gap) > 4 * answers.noise][:5]
    assert len(clear) == 5
    assert annotate(task, clear, quiet) == [int(np.sign(task.true[pair])) for pair in clear]
