"""Distances between two samples, by hand and by plain loops."""

import math

import numpy as np
import pytest

from tasks.ml.distances import (
    WordCounts,
    energy_coefficient,
    largest_gap,
    mix_difference,
    share_difference,
    unknown_share,
    word_divergence,
)


def halves(new: str) -> tuple[np.ndarray, np.ndarray]:
    """Members marked `n` are new, `.` the rest; those marked `-` take no part."""
    marks = np.array([list(new)])
    return marks == "n", marks == "."


def test_words_are_letters_in_lower_case_and_lengths_count_what_blanks_divide() -> None:
    counts = WordCounts(["Salt 3.5 salt, SUGAR-free", "", "ß äpfel x2"])
    assert counts.words == ["salt", "sugar", "free", "ss", "äpfel", "x"]
    assert counts.lengths.tolist() == [4, 0, 3]
    assert counts.within(np.array([[True, True, False]])).tolist() == [[2, 1, 1, 0, 0, 0]]


def test_the_largest_gap_of_two_distributions() -> None:
    # Cumulative at 1, 2, 3: new 0, 1/2, 1; rest 2/3, 1, 1. Member 5 takes no part.
    values = np.array([2.0, 3.0, 1.0, 1.0, 2.0, 9.0])
    assert largest_gap(values)(*halves("nn...-")) == pytest.approx(2 / 3)
    assert largest_gap(values)(*halves("..nnn-")) == pytest.approx(2 / 3)


def test_between_equal_values_there_is_no_gap() -> None:
    # Sorted, the new members of one value would come before the others.
    assert largest_gap(np.array([1.0, 1.0, 1.0, 1.0]))(*halves("nn..")) == 0


def test_unknown_words_are_counted_as_often_as_they_stand_there() -> None:
    words = WordCounts(["fat fat iron", "fat zinc zinc", "zinc"])
    assert unknown_share(words)(*halves("n..")) == pytest.approx(1 / 3)  # iron
    assert unknown_share(words)(*halves("n.-")) == pytest.approx(1 / 3)
    assert unknown_share(words)(*halves("-n.")) == pytest.approx(1 / 3)  # fat
    assert unknown_share(words)(*halves(".n-")) == pytest.approx(2 / 3)  # zinc, twice


def test_unknown_words_of_prompts_without_words() -> None:
    assert unknown_share(WordCounts(["12", "fat"]))(*halves("n.")) == 0


def test_the_divergence_of_words_in_bits() -> None:
    # New: fat 3/4, iron 1/4. Rest: fat 1/4, iron 3/4. Their mean is even and has 1 bit.
    words = WordCounts(["fat fat fat iron", "fat iron iron iron"])
    own = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert word_divergence(words)(*halves("n.")) == pytest.approx(1 - own)
    assert word_divergence(WordCounts(["fat", "iron"]))(*halves("n.")) == pytest.approx(1)
    assert word_divergence(WordCounts(["fat iron", "iron fat"]))(*halves("n.")) == 0


def test_the_share_that_would_have_to_be_of_another_kind() -> None:
    # New: a 1/2, b 1/2. Rest: a 1/4, c 3/4. Differences 1/4, 1/2, 3/4.
    assert mix_difference(["a", "b", "a", "c", "c", "c"])(*halves("nn....")) == pytest.approx(0.75)


def test_the_energy_coefficient_by_a_plain_loop() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [6.0, 8.0], [5.0, 5.0]])
    new, rest = [0, 1], [2, 3, 4]

    def mean(ours: list[int], theirs: list[int]) -> float:
        return float(np.mean([math.dist(points[a], points[b]) for a in ours for b in theirs]))

    across = 2 * mean(new, rest)
    wanted = (across - mean(new, new) - mean(rest, rest)) / across
    assert energy_coefficient(points)(*halves("nn...")) == pytest.approx(wanted)
    assert energy_coefficient(np.array([[0.0], [0.0], [7.0]]))(*halves("nn.")) == pytest.approx(1)
    assert energy_coefficient(np.zeros((3, 2)))(*halves("nn.")) == 0


def test_the_difference_of_two_shares() -> None:
    counted, of = np.array([1.0, 0.0, 3.0, 5.0]), np.array([4.0, 1.0, 5.0, 5.0])
    assert share_difference(counted, of)(*halves("nn.-")) == pytest.approx(3 / 5 - 1 / 5)
    assert share_difference(counted, np.array([4.0, 1.0, 0.0, 5.0]))(*halves("nn.-")) == 0


def test_many_divisions_at_once_are_each_measured_alone() -> None:
    texts = ["fat fat iron", "zinc", "fat zinc salt", "iron", "salt salt fat iron zinc"]
    words, values = WordCounts(texts), np.array([3.0, 0.0, 4.0, 1.0, 2.0])
    new = np.array([[1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [1, 0, 0, 0, 0]], dtype=bool)
    rest = np.array([[0, 0, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 0]], dtype=bool)
    for distance in (
        largest_gap(values),
        unknown_share(words),
        word_divergence(words),
        mix_difference(["a", "b", "a", "b", "c"]),
        energy_coefficient(values[:, None] ** 2),
        share_difference(values, values + 1),
    ):
        alone = [distance(new[row : row + 1], rest[row : row + 1])[0] for row in range(3)]
        assert distance(new, rest).tolist() == pytest.approx(alone)
        assert len(set(alone)) > 1
