"""Columns: what a difference is, and statistics of many answers as values that can be resampled."""

import math

import numpy as np
import pytest

from tasks.ml.columns import Column, counted, filled, influences
from tasks.ml.metrics import QuestionBootstrap


def test_a_difference_of_means_has_the_sign_of_the_first() -> None:
    column = Column("m", "u", "higher", {"a": np.array([3.0, 1.0]), "b": np.array([1.0, 2.0])}, np.ones(2))
    assert column.difference("a", "b").tolist() == [2.0, -1.0]
    assert column.difference("b", "a").tolist() == [-2.0, 1.0]
    assert [part.tolist() for part in column.level("a", "b")] == [[3.0, 1.0], [1.0, 1.0]]


def test_wins_are_counted_beyond_a_margin_and_less_one_half() -> None:
    values = {"a": np.array([1.0, 0.5, 0.2]), "b": np.array([0.5, 0.45, 0.6])}
    column = Column("w", "share", "higher", values, np.ones(3), margin=0.1)
    assert column.level("a", "b")[0].tolist() == [1.0, 0.5, 0.0]
    assert column.difference("a", "b").tolist() == [0.5, 0.0, -0.5]
    assert column.level("b", "b")[0].tolist() == [0.5, 0.5, 0.5]


def test_questions_that_a_model_was_not_asked_count_for_nothing() -> None:
    values = filled({"a": np.array([3.0, 1.0, 5.0]), "b": np.array([1.0, 2.0])})
    column = Column("m", "u", "higher", values, np.array([1.0, 2.0, 4.0]))
    assert column.asked("a").tolist() == [1.0, 2.0, 4.0]
    assert column.asked("a", "b").tolist() == [1.0, 2.0, 0.0]
    assert column.difference("a", "b").tolist() == [2.0, -1.0, 0.0]
    assert [part.tolist() for part in column.level("b", "a")] == [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0]]
    assert column.as_dict()["values"] == {"a": [3.0, 1.0, 5.0], "b": [1.0, 2.0, None]}
    shares = Column("w", "share", "higher", values, np.ones(3), margin=0.1)
    # One of two: what b was not asked it has neither won nor lost.
    assert counted(QuestionBootstrap(np.array([0, 1, 2]), 100, 0.95, 0), *shares.level("b", "a")).value == 0.5


def test_a_column_that_is_against_one_model_says_nothing_of_others() -> None:
    values = {name: np.zeros(2) for name in "abc"}
    column = Column("j", "share", "higher", values, np.ones(2), against="b")
    assert column.compares("a", "b")
    assert column.compares("b", "c")
    assert not column.compares("a", "c")
    assert not column.compares("b", "d")


def test_influences_of_a_mean_are_the_means_of_contexts() -> None:
    # Contexts of one size: their pseudo-values are their means, 2 and 10 and 3.
    values = np.array([1.0, 3.0, 10.0, 10.0, 2.0, 4.0])
    contexts = np.array([0, 0, 1, 1, 2, 2])
    own, weights = influences(lambda places: float(values[places].mean()), contexts, np.ones(6))
    assert own == pytest.approx([2, 2, 10, 10, 3, 3])
    assert weights.tolist() == [0.5] * 6


def test_influences_of_a_ratio_by_hand() -> None:
    # exp(sum / count): e^2 with all; without the contexts e^3, e^2.5 and e^0.5 of two each.
    nats, contexts = np.array([0.0, 1.0, 5.0, 99.0]), np.array([0, 1, 2, 1])
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    own, shares = influences(lambda places: math.exp(nats[places].mean()), contexts, weights)
    without = [math.exp(3), math.exp(2.5), math.exp(0.5)]
    middle = sum(without) / 3
    expected = [math.exp(2) + 2 * (middle - one) for one in without]
    assert own[:3] == pytest.approx(expected)
    assert own[3] == shares[3] == 0
    assert (shares * own).sum() / shares.sum() == pytest.approx(math.exp(2))


def test_influences_spread_as_the_statistic_does() -> None:
    # The standard error of a variance of N normal numbers is close to sigma^2 sqrt(2 / N).
    values = np.random.default_rng(0).normal(0, 2, 400)
    own, _ = influences(lambda places: float(values[places].var()), np.arange(400), np.ones(400))
    assert own.std() / 20 == pytest.approx(4 * math.sqrt(2 / 400), rel=0.2)


def test_one_context_has_no_spread() -> None:
    own, shares = influences(lambda places: float(len(places)), np.zeros(3, dtype=np.int64), np.ones(3))
    assert own.tolist() == [3, 3, 3]
    assert shares == pytest.approx([1 / 3] * 3)


def test_the_count_is_of_questions_and_the_draw_of_contexts() -> None:
    contexts = np.repeat(np.arange(20), 10)
    alike = np.repeat(np.random.default_rng(1).normal(size=20), 10)  # all of a context are one answer
    bootstrap = QuestionBootstrap(contexts, 4000, 0.95, 0)
    found = counted(bootstrap, alike, np.ones(200))
    assert found.n == 200
    assert found.high - found.low == pytest.approx(2 * 1.96 * alike.std() / math.sqrt(20), rel=0.15)
    half = counted(bootstrap, alike, (contexts < 10).astype(float))
    assert half.n == 100
    assert half.value == pytest.approx(alike[:100].mean())
