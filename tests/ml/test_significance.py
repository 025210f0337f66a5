"""Exact tests against plain enumeration, and Holm's correction by hand."""

import math
from itertools import product

import pytest

from tasks.ml import significance
from tasks.ml.significance import binomial_tail, holm, symmetry_test


@pytest.mark.parametrize(("trials", "chance"), [(7, 0.5), (12, 0.1), (20, 1 / 24)])
def test_the_tail_of_a_binomial(trials: int, chance: float) -> None:
    for successes in range(trials + 1):
        wanted = sum(
            math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)
            for count in range(successes, trials + 1)
        )
        assert binomial_tail(successes, trials, chance) == pytest.approx(wanted, rel=1e-9)
    assert binomial_tail(0, 0, chance) == 1


@pytest.mark.parametrize("differences", [[3, -1, 2, 0, 2], [1, 1, 1, -1], [-4, -2, 1], [5]])
def test_all_signs_are_tossed(differences: list[int]) -> None:
    sums = [
        sum(sign * abs(size) for sign, size in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    above = sum(total >= sum(differences) for total in sums) / len(sums)
    outside = sum(abs(total) >= abs(sum(differences)) for total in sums) / len(sums)
    assert symmetry_test(differences) == pytest.approx(above, abs=1e-12)
    assert symmetry_test(differences, two_sided=True) == pytest.approx(min(1, outside), abs=1e-12)


def test_nothing_that_differs_is_no_evidence() -> None:
    assert symmetry_test([]) == symmetry_test([0, 0], two_sided=True) == 1


def test_many_differences_are_taken_as_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [2, -1, 3, 1, -2] * 40
    exact = symmetry_test(differences)
    monkeypatch.setattr(significance, "MOST_EXACT", 10)
    # z = 120 / sqrt(40 * 19) = 4.35.
    assert symmetry_test(differences) == pytest.approx(6.7e-6, rel=0.02)
    assert symmetry_test(differences) == pytest.approx(exact, rel=0.2)


def test_holm_by_hand() -> None:
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which must not be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
