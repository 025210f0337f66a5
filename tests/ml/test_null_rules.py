"""The rules that a reward model must beat, each given its best chance in training."""

import math

import numpy as np
import pytest

from tasks.ml.calibration import was_right
from tasks.ml.null_rules import Votes, fit_weights, length_features, null_rules, turned


def votes(pairs: list[tuple[int, int]], first: list[float] | None = None) -> Votes:
    count = len(pairs)
    return Votes(
        chosen=np.array([chosen for chosen, _ in pairs], dtype=np.int64),
        rejected=np.array([rejected for _, rejected in pairs], dtype=np.int64),
        question=np.array(["q"] * count),
        task=np.array(["t"] * count),
        annotator=np.array(["a"] * count),
        shown_first=np.array(first or [1.0] * count),
        simulated=np.zeros(count, dtype=bool),
    )


def sizes_of(*words: float) -> np.ndarray:
    return np.array([[count, 5 * count] for count in words], dtype=np.float64)


def test_the_direction_is_learnt_in_training() -> None:
    # Answers of 2, 4 and 9 words; in training the shorter one wins twice of three, in the test never.
    sizes = sizes_of(2, 4, 9)
    scores, train = np.zeros(3), votes([(0, 1), (1, 2), (2, 0)], [1, -1, -1])
    length, position, *_ = null_rules(scores, train, votes([(2, 0)]), sizes)
    assert (length.name, length.margins.tolist()) == ("always shorter", [-7.0])
    assert (position.name, position.margins.tolist()) == ("always last shown", [-1.0])
    length, position, *_ = null_rules(scores, votes([(2, 1), (1, 0)], [1, 0]), votes([(2, 0)]), sizes)
    assert (length.name, length.margins.tolist()) == ("always longer", [7.0])
    assert (position.name, position.margins.tolist()) == ("always first shown", [1.0])


def test_without_training_a_rule_keeps_its_name() -> None:
    assert turned("up", "down", np.array([]), np.array([2.0])).name == "up"


def test_the_length_model_finds_an_optimum_that_no_direction_has() -> None:
    # Ten words are best: 10 beats 3 as well as 30, so longer and shorter are both right half the time.
    sizes = np.repeat(sizes_of(3, 10, 30), 20, axis=0)
    wins = [(20 + number, other + number) for number in range(20) for other in (0, 40)]
    length, _, model, shadow = null_rules(np.zeros(60), votes(wins), votes(wins), sizes)
    assert was_right(length.margins).mean() == 0.5
    assert was_right(model.margins).mean() == 1.0
    assert shadow.margins.tolist() == [0.0] * 40


def test_the_shadow_is_what_length_explains_of_the_score() -> None:
    # Scores fall with the distance to ten words, plus what differs from question to question.
    draw = np.random.default_rng(0)
    sizes = sizes_of(*draw.integers(3, 30, 400).astype(float))
    offsets = np.repeat(draw.normal(0, 50, 200), 2)
    scores = offsets - np.abs(np.log1p(sizes[:, 0]) - np.log1p(10))
    pairs = [(2 * number, 2 * number + 1) for number in range(200)]
    *_, shadow = null_rules(scores, votes(pairs[:150]), votes(pairs[150:]), sizes)
    np.testing.assert_allclose(shadow.margins, scores[300::2] - scores[301::2], atol=0.05)
    # Nothing of a score that has nothing to do with length.
    noise = draw.normal(size=400)
    *_, shadow = null_rules(noise, votes(pairs[:150]), votes(pairs[150:]), sizes)
    assert abs(np.corrcoef(shadow.margins, noise[300::2] - noise[301::2])[0, 1]) < 0.35


def test_characters_count_where_words_are_equal() -> None:
    sizes = np.array([[4, 20], [4, 28]], dtype=np.float64)
    length, _, model, _ = null_rules(np.zeros(2), votes([(0, 1)] * 4), votes([(0, 1)]), sizes)
    assert length.margins.tolist() == [0.0]
    assert model.margins[0] > 0


def test_features_are_a_spline_of_standardised_logarithms() -> None:
    # Logarithms 0 and 2 eight times each: mean 1, deviation 1. Sixteen answers have two knots, at -1 and 1.
    sizes = np.repeat(np.array([[0, 7], [math.e**2 - 1, 7]]), 8, axis=0)
    found = length_features(sizes)
    np.testing.assert_allclose(found[[0, -1], :3], [[-1, 0, 0], [1, 2, 0]], atol=1e-12)
    # Characters do not differ.
    np.testing.assert_allclose(found[:, 3:], 0, atol=1e-12)


def test_weights_are_where_the_loss_is_flat() -> None:
    draw = np.random.default_rng(0)
    differences = draw.normal(size=(60, 2))
    weights = fit_weights(differences)
    slope = [0.01 * w for w in weights]
    for row in differences:
        missing = 1 / (1 + math.exp(row[0] * weights[0] + row[1] * weights[1]))
        slope = [s - missing * d / 60 for s, d in zip(slope, row, strict=True)]
    assert slope == pytest.approx([0, 0], abs=1e-9)
    assert fit_weights(np.zeros((0, 2))).tolist() == [0.0, 0.0]


def test_a_pair_counts_once_whoever_wins_it() -> None:
    found = votes([(0, 1), (1, 0), (0, 1), (2, 1)])
    assert (len(found), found.pairs) == (4, 2)
    assert len(found.where(np.array([True, False, False, True]))) == 2
