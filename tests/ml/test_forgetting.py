"""Forgetting in nats per byte, by hand."""

import numpy as np
import pytest

from tasks.ml.forgetting import answer_bytes, forgetting, nll_per_byte


def test_bytes_are_those_of_utf8_and_the_answer_alone(make_row) -> None:
    rows = [make_row(answer="no"), make_row(answer="caf\u00e9"), make_row(answer="\u20ac 5")]
    assert answer_bytes(rows).tolist() == [2, 5, 5]


def test_the_level_is_the_sum_of_nats_over_the_sum_of_bytes() -> None:
    level = nll_per_byte(np.array([3.0, 9.0]), np.array([2.0, 10.0]), 500, 0)
    assert level.value == 1.0  # 12 / 12, not the mean of 1.5 and 0.9
    assert (level.low, level.high, level.n) == (0.9, 1.5, 2)


def test_a_rise_is_positive_and_a_fall_negative() -> None:
    before, after, sizes = np.array([2.0, 4.0]), np.array([3.0, 6.0]), np.array([10.0, 5.0])
    assert forgetting(before, after, sizes, 100, 0).value == pytest.approx(3 / 15)
    assert forgetting(after, before, sizes, 100, 0).value == pytest.approx(-3 / 15)


def test_the_interval_is_paired_by_question() -> None:
    # The answers differ a hundredfold in what they cost, but each costs 0.1 nats a byte more than before.
    before, sizes = np.array([1.0, 500.0, 30.0, 4.0]), np.array([10.0, 40.0, 20.0, 8.0])
    rise = forgetting(before, before + 0.1 * sizes, sizes, 200, 0)
    assert (rise.low, rise.value, rise.high) == pytest.approx((0.1, 0.1, 0.1))
