"""What to ask next: worked by hand, and against a loop that inverts every matrix anew."""

import math

import numpy as np
import pytest

from tasks.feedback.plan import (
    MOST_TARGETS,
    PRIOR_DEVIATION,
    PairPool,
    covariance_after,
    directions,
    draw_targets,
    plan,
    verdict_weights,
)


def pool(differences: list[list[float]], gaps: list[float] | None = None, **names: list[str]) -> PairPool:
    count = len(differences)
    return PairPool(
        np.array(differences, dtype=np.float64),
        np.array(gaps or [0.0] * count),
        names.get("questions") or [f"q{n}" for n in range(count)],
        names.get("tasks") or ["one"] * count,
    )


def test_a_pair_like_one_that_is_chosen_is_worth_less() -> None:
    # Equal rewards: w = 1/4, so noise 4 on variances of 4. Verdicts along one axis correlate at 4 / (4 + 4);
    # three of the four pairs lie along the first. Each verdict there leaves 1 / (1 / v + 1 / 4): 4, 2, 4/3.
    asked = pool([[2, 0], [0, 2], [2, 0], [2, 0]])
    chosen = plan(asked, np.eye(2), range(4), 3, per_task=9)
    assert [one.pair for one in chosen] == [0, 2, 1]
    bits = [-0.5 * math.log2(1 - r**2) for r in (4 / 8, 2 / 6, 4 / 8)]
    assert [one.gain for one in chosen] == pytest.approx([bits[0] * 3 / 4, bits[1] * 3 / 4, bits[2] / 4])
    assert [one.deviation for one in chosen] == pytest.approx([2, math.sqrt(2), 2])
    # If only the second is to be foreseen, the others tell nothing of it.
    assert plan(asked, np.eye(2), [1], 1, per_task=9)[0].pair == 1


def test_a_verdict_that_is_foreseen_is_worth_less() -> None:
    # p = 3/4 at a gap of log 3: w = 3/16 against 1/4.
    assert verdict_weights(np.array([0, math.log(3), -math.log(3)])) == pytest.approx([1 / 4, 3 / 16, 3 / 16])
    chosen = plan(pool([[1, 0], [0, 1]], [math.log(3), 0]), np.eye(2), range(2), 1, per_task=9)
    assert chosen[0].pair == 1
    assert chosen[0].gain == pytest.approx(-0.5 * math.log2(1 - 1 / 25) / 2)


def test_what_was_judged_is_not_asked_again() -> None:
    # Four verdicts along the first axis at w = 1/4 and length 2: precision 1 + 4, variance 1/5.
    covariance = covariance_after(np.array([[2.0, 0.0]] * 4), np.zeros(4))
    assert covariance == pytest.approx(np.diag([0.2, 1]))
    assert covariance_after(np.empty((0, 2)), np.empty(0)) == pytest.approx(np.eye(2))
    assert plan(pool([[2, 0], [0, 1]]), covariance, range(2), 1, per_task=9)[0].pair == 1
    assert plan(pool([[2, 0], [0, 1]]), np.eye(2), range(2), 1, per_task=9)[0].pair == 0


def test_one_pair_of_a_question_and_so_many_of_a_family() -> None:
    differences = [[9.0, 0], [0, 8.0], [7.0, 0], [0, 6.0], [0, 0]]
    questions, tasks = ["a", "a", "b", "c", "d"], ["x", "x", "x", "y", "y"]
    asked = pool(differences, questions=questions, tasks=tasks)
    assert [one.pair for one in plan(asked, np.eye(2), range(5), 9, per_task=9)] == [0, 3, 2]
    assert [one.pair for one in plan(asked, np.eye(2), range(5), 9, per_task=1)] == [0, 3]
    assert [one.pair for one in plan(asked, np.eye(2), range(5), 1, per_task=9)] == [0]


def test_greedy_choice_equals_a_loop_that_inverts_anew() -> None:
    draw = np.random.default_rng(3)
    differences, gaps = draw.normal(size=(30, 5)), draw.normal(size=30)
    judged, said = draw.normal(size=(7, 5)), draw.normal(size=7)
    asked, targets = PairPool(differences, gaps, [f"q{n}" for n in range(30)], ["one"] * 30), [1, 4, 29]

    def weight(gap: float) -> float:
        return math.exp(-gap) / (1 + math.exp(-gap)) ** 2

    known = list(zip(judged, said, strict=True))
    expected: list[int] = []
    gains = []
    for _ in range(8):
        covariance = np.linalg.inv(np.eye(5) + sum(weight(gap) * np.outer(row, row) for row, gap in known))
        worth = {}
        for pair in set(range(30)) - set(expected):
            bits = []
            for target in targets:
                both = np.stack([differences[pair], differences[target]])
                table = both @ covariance @ both.T
                seen = [table[0, 0] + 1 / weight(gaps[pair]), table[1, 1] + 1 / weight(gaps[target])]
                bits.append(-0.5 * math.log2(1 - table[0, 1] ** 2 / (seen[0] * seen[1])))
            worth[pair] = sum(bits) / 3
        best = max(worth, key=lambda pair: worth[pair])
        expected.append(best)
        gains.append(worth[best])
        known.append((differences[best], gaps[best]))
    chosen = plan(asked, covariance_after(judged, said), targets, 8, per_task=99)
    assert [one.pair for one in chosen] == expected
    assert [one.gain for one in chosen] == pytest.approx(gains, rel=1e-9)


def test_targets_stand_for_a_whole_pool() -> None:
    small, large = (pool([[1.0, 0.0]] * count) for count in (5, MOST_TARGETS + 50))
    assert draw_targets(small, 1) == [0, 1, 2, 3, 4]
    assert len(set(draw_targets(large, 1))) == MOST_TARGETS
    assert draw_targets(large, 1) == draw_targets(large, 1) != draw_targets(large, 2)


def test_directions_are_those_in_which_answers_to_one_question_differ() -> None:
    # The questions differ along the second axis alone, the answers to each along the first.
    hidden = np.array([[0.0, 5, 1], [2, 5, 1], [0, -5, 1], [2, -5, 1]])
    taken = hidden @ directions(hidden, ["a", "a", "b", "b"])
    differences = np.abs(taken[0] - taken[1]), np.abs(taken[2] - taken[3])
    assert differences[0] == pytest.approx(differences[1])
    assert math.sqrt((differences[0] ** 2).sum()) == pytest.approx(PRIOR_DEVIATION)
    draw = np.random.default_rng(0)
    hidden, questions = draw.normal(size=(120, 7)), [f"q{n // 3}" for n in range(120)]
    taken = hidden @ directions(hidden, questions)
    squares = [
        ((taken[one] - taken[other]) ** 2).sum()
        for start in range(0, 120, 3)
        for one, other in ((start, start + 1), (start, start + 2), (start + 1, start + 2))
    ]
    assert np.mean(squares) == pytest.approx(PRIOR_DEVIATION**2)
