"""The likelihood of rankings, held against sums over all that annotators could have said, in plain floats."""

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

import pytest
import torch

from tasks.ml.preferences import Picks
from tasks.ml.ranking_loss import pick_losses, start_threshold
from tasks.ml.reward_loss import rao_kupper

Tiers = Sequence[Sequence[int]]
SCORES = [0.3, -1.1, 0.8, 0.0, 1.9, -0.4, 0.25, -2.0, 0.6]


def weak_orders(items: Sequence[int], most: int) -> Iterator[list[list[int]]]:
    """Every ranking of items, best first, in which up to `most` stand on one rank."""
    if not items:
        yield []
    for size in range(1, min(most, len(items)) + 1):
        for first in combinations(items, size):
            for rest in weak_orders([item for item in items if item not in first], most):
                yield [list(first), *rest]


def picked(chosen: Sequence[int], left: Sequence[int], theta: float) -> float:
    """P(chosen from left): the integral term by term, prod (1 - x) multiplied out over all sets."""
    rates = {item: math.exp(SCORES[item]) for item in left}
    others = theta * sum(rates[item] for item in left if item not in chosen)
    total = 0.0
    for first in chosen:
        rest = [item for item in chosen if item != first]
        for size in range(len(rest) + 1):
            for late in combinations(rest, size):
                early = sum(rates[item] for item in rest if item not in late)
                rate = rates[first] + early + theta * sum(rates[item] for item in late) + others
                total += (-1) ** size * rates[first] / rate
    return total


def probability(tiers: Tiers, fails: Sequence[int], theta: float) -> float:
    """The product over ranks of the probability of the rank among all that were left."""
    left = [item for tier in tiers for item in tier] + list(fails)
    product = 1.0
    for tier in tiers:
        product *= picked(tier, left, theta)
        left = [item for item in left if item not in tier]
    return product


def picks_of(tiers: Tiers, fails: Sequence[int]) -> Picks:
    answers = [
        [*tier, *(item for later in tiers[place + 1 :] for item in later), *fails]
        for place, tier in enumerate(tiers)
    ]
    width = max(map(len, answers))
    return Picks(
        torch.tensor([row + [-1] * (width - len(row)) for row in answers]),
        torch.tensor([len(tier) for tier in tiers]),
        torch.ones(len(tiers)),
    )


def loss(tiers: Tiers, fails: Sequence[int], theta: float, scores: torch.Tensor) -> torch.Tensor:
    picks = picks_of(tiers, fails)
    threshold = torch.tensor(math.log(theta), dtype=torch.float64)
    return pick_losses(picks.scores(scores), picks.sizes, threshold).sum(0)


def column() -> torch.Tensor:
    return torch.tensor(SCORES, dtype=torch.float64)[:, None]


def test_all_orders_without_ties_are_plackett_and_luce_s_and_sum_to_1() -> None:
    total = 0.0
    for order in permutations(range(5)):
        expected, left = 1.0, [math.exp(SCORES[item]) for item in order]
        while left:
            expected *= left[0] / sum(left)
            left = left[1:]
        got = math.exp(-loss([[item] for item in order], [], 1.0, column()).item())
        assert got == pytest.approx(expected, rel=1e-9)
        total += got
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("theta", [1.05, 1.8, 6.0])
def test_all_rankings_with_ties_are_as_multiplied_out_and_sum_to_1(theta: float) -> None:
    total = 0.0
    for tiers in weak_orders(range(4), 4):
        got = math.exp(-loss(tiers, [], theta, column()).item())
        assert got == pytest.approx(probability(tiers, [], theta), rel=1e-6)
        total += got
    assert total == pytest.approx(1, abs=1e-7)


def test_f_is_the_sum_over_all_rankings_that_end_in_f_in_any_order() -> None:
    tiers, fails = [[2], [0, 3]], [1, 4]
    got = math.exp(-loss(tiers, fails, 1.8, column()).item())
    assert got == pytest.approx(probability(tiers, fails, 1.8), rel=1e-7)
    ends = [probability([*tiers, *rest], [], 1.8) for rest in weak_orders(fails, 2)]
    assert got == pytest.approx(sum(ends), rel=1e-7)


@pytest.mark.parametrize("count", range(4, 10))
def test_rankings_of_four_to_nine_with_ties_and_f(count: int) -> None:
    tied = 2 if count == 4 else 3
    tiers = [[count - 1], list(range(tied)), *([[item] for item in range(tied, count - 2)])]
    got = loss(tiers, [count - 2], 1.8, column()).item()
    assert got == pytest.approx(-math.log(probability(tiers, [count - 2], 1.8)), rel=1e-7)


def test_two_answers_are_rao_and_kupper_s_pair() -> None:
    gap, eta = (torch.tensor(x, dtype=torch.float64) for x in (SCORES[0] - SCORES[1], math.log(1.8)))
    win, tie = rao_kupper(gap, eta)
    assert loss([[0], [1]], [], 1.8, column()).item() == pytest.approx(win.item(), abs=1e-9)
    assert loss([[0, 1]], [], 1.8, column()).item() == pytest.approx(tie.item(), abs=1e-7)


def test_a_pick_is_what_seems_less_than_the_threshold_below_the_best() -> None:
    draw = random.Random(1)
    theta, seen = 1.8, Counter[tuple[int, ...]]()
    for _ in range(20_000):
        values = [score - math.log(-math.log(draw.random())) for score in SCORES[:4]]
        seen[tuple(n for n in range(4) if values[n] > max(values) - math.log(theta))] += 1
    for chosen, count in seen.most_common(8):
        others = [item for item in range(4) if item not in chosen]
        pick = Picks(torch.tensor([[*chosen, *others]]), torch.tensor([len(chosen)]), torch.ones(1))
        got = pick_losses(pick.scores(column()), pick.sizes, torch.tensor(math.log(theta))).item()
        assert math.exp(-got) == pytest.approx(count / 20_000, abs=0.012)


def test_gradients_by_finite_differences_of_what_is_multiplied_out() -> None:
    tiers, fails, step = [[2], [0, 3]], [1], 1e-5
    scores = column().requires_grad_()
    eta = torch.tensor(math.log(1.8), dtype=torch.float64, requires_grad=True)
    picks = picks_of(tiers, fails)
    pick_losses(picks.scores(scores), picks.sizes, eta).sum().backward()
    assert scores.grad is not None
    assert eta.grad is not None
    for item in range(4):
        values = []
        for sign in (1, -1):
            SCORES[item] += sign * step
            values.append(-math.log(probability(tiers, fails, 1.8)))
            SCORES[item] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert scores.grad[item].item() == pytest.approx(slope, abs=1e-6)
    assert scores.grad[4:].abs().sum() == 0
    up, down = (-math.log(probability(tiers, fails, 1.8 * math.exp(s))) for s in (step, -step))
    assert eta.grad.item() == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_padding_and_answers_of_other_batches_leave_no_trace() -> None:
    scores = column().float().repeat(1, 2)
    scores[5:] = torch.nan  # not in the batch, among them what -1 points at
    scores.requires_grad_()
    rows = Picks(torch.tensor([[0, 1, 2], [3, 4, -1]]), torch.tensor([1, 2]), torch.ones(2))
    losses = pick_losses(rows.scores(scores), rows.sizes, torch.tensor(math.log(1.8)))
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    expected = [-math.log(probability([[0]], [1, 2], 1.8)), -math.log(probability([[3, 4]], [], 1.8))]
    assert losses[:, 0].tolist() == pytest.approx(expected, abs=1e-5)
    assert losses[:, 1].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("gap", [30.0, 100.0])
def test_a_tie_of_answers_far_apart_is_finite_and_draws_them_together(gap: float) -> None:
    scores = torch.tensor([[[gap], [0.0], [1.0]]], requires_grad=True)
    losses = pick_losses(scores, torch.tensor([2]), torch.tensor(0.5))
    losses.sum().backward()
    assert scores.grad is not None
    assert losses.isfinite().all()
    # Times of the far one are near 0, those of the other longer by far: (theta - 1 + 1 - 1 / theta) / p.
    theta = math.exp(0.5)
    expected = gap - math.log(theta - 1 / theta)
    assert losses.item() == pytest.approx(expected, rel=1e-5)
    assert scores.grad.flatten().tolist() == pytest.approx([1.0, -1.0, 0.0], abs=1e-3)


def test_the_threshold_starts_where_equals_would_tie_as_often_as_they_did() -> None:
    # 3 ties in 10 pairs of equals: 1 - 2 / (1 + theta) = 0.3.
    expected = math.log(1.3 / 0.7)
    assert start_threshold([2] * 10, [2] * 3 + [1] * 7, [1.0] * 10) == pytest.approx(expected, rel=1e-5)
    assert start_threshold([2, 2], [2, 1], [3.0, 7.0]) == pytest.approx(expected, rel=1e-5)
    assert start_threshold([2, 3], [1, 1], [1.0, 1.0]) == 0
    assert start_threshold([], [], []) == 0


def test_nothing_but_ties_has_a_finite_threshold() -> None:
    assert 3 < start_threshold([2] * 5, [2] * 5, [1.0] * 5) <= 8
