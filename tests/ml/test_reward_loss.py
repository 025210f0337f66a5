"""The losses on pairs and on answers by hand."""

import math

import pytest
import torch

from tasks.ml.reward_loss import bradley_terry, floor_losses, rao_kupper


def loss(pairs: list[tuple[float, float, float]]) -> float:
    return bradley_terry(*(torch.tensor(column) for column in zip(*pairs, strict=True))).item()


def test_equal_scores_cost_ln_2_and_order_counts() -> None:
    assert loss([(1.0, 1.0, 1.0)]) == pytest.approx(math.log(2), abs=1e-6)
    assert loss([(2.0, 0.5, 1.0)]) == pytest.approx(math.log(1 + math.exp(-1.5)), abs=1e-6)
    assert loss([(0.5, 2.0, 1.0)]) == pytest.approx(math.log(1 + math.exp(1.5)), abs=1e-6)


def test_pairs_count_by_their_votes() -> None:
    expected = (3 * math.log(1 + math.exp(-1.0)) + 1 * math.log(1 + math.exp(2.0))) / 4
    assert loss([(1.0, 0.0, 3.0), (0.0, 2.0, 1.0)]) == pytest.approx(expected, abs=1e-6)
    assert loss([(1.0, 0.0, 6.0), (0.0, 2.0, 2.0)]) == pytest.approx(expected, abs=1e-6)


def test_the_gradient_raises_the_chosen_one() -> None:
    chosen, rejected = torch.tensor([0.0], requires_grad=True), torch.tensor([0.0], requires_grad=True)
    bradley_terry(chosen, rejected, torch.tensor([1.0])).backward()
    assert (chosen.grad, rejected.grad) == (torch.tensor([-0.5]), torch.tensor([0.5]))


def test_far_apart_scores_stay_finite() -> None:
    assert loss([(0.0, 500.0, 1.0)]) == pytest.approx(500.0)


def strengths_of(gap: float) -> tuple[float, float]:
    """Two strengths whose logarithms are `gap` apart, neither of them 1."""
    return 1.7 * math.exp(gap), 1.7


@pytest.mark.parametrize("gap", [-3.0, -0.4, 0.0, 1.2, 5.0])
@pytest.mark.parametrize("theta", [1.0001, 1.3, 2.0, 9.0])
def test_rao_and_kupper_s_three_outcomes_by_their_formulas(gap: float, theta: float) -> None:
    one, other = strengths_of(gap)
    first, second = one / (one + theta * other), other / (other + theta * one)
    tie = (theta**2 - 1) * one * other / ((one + theta * other) * (other + theta * one))
    gaps = torch.tensor([gap, -gap], dtype=torch.float64)
    wins, ties = rao_kupper(gaps, torch.tensor(math.log(theta), dtype=torch.float64))
    assert wins.tolist() == pytest.approx([-math.log(first), -math.log(second)], abs=1e-9)
    assert ties.tolist() == pytest.approx([-math.log(tie)] * 2, abs=1e-9)
    assert sum(math.exp(-loss) for loss in (*wins.tolist(), ties[0].item())) == pytest.approx(1, abs=1e-9)


def test_ties_are_gaps_that_seem_smaller_than_the_threshold() -> None:
    # The noise between two perceived scores is logistic; counted over a fine grid of its quantiles.
    gap, threshold, count = 0.7, 0.9, 20_000
    noise = [math.log(share / (1 - share)) for share in ((n + 0.5) / count for n in range(count))]
    seen = [gap + error for error in noise]
    wins, ties = rao_kupper(torch.tensor([gap]), torch.tensor(threshold))
    assert sum(value > threshold for value in seen) / count == pytest.approx(math.exp(-wins.item()), abs=1e-4)
    assert sum(abs(value) < threshold for value in seen) / count == pytest.approx(
        math.exp(-ties.item()), abs=1e-4
    )


def test_without_a_threshold_it_is_bradley_and_terry() -> None:
    gaps = torch.tensor([-2.0, 0.0, 0.7])
    wins, _ = rao_kupper(gaps, torch.tensor(0.0))
    assert wins.tolist() == pytest.approx([math.log(1 + math.exp(-gap)) for gap in gaps.tolist()], abs=1e-6)


def test_rao_and_kupper_s_gradients_by_finite_differences() -> None:
    step = 1e-5

    def losses(gap: float, eta: float) -> list[float]:
        """In plain floats: of a win, of a tie."""
        win = math.log(1 + math.exp(eta - gap))
        return [win, -math.log(1 - math.exp(-win) - 1 / (1 + math.exp(eta + gap)))]

    for outcome in (0, 1):
        gap = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
        eta = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
        rao_kupper(gap, eta)[outcome].backward()
        by_gap = losses(0.8 + step, 0.6)[outcome] - losses(0.8 - step, 0.6)[outcome]
        by_eta = losses(0.8, 0.6 + step)[outcome] - losses(0.8, 0.6 - step)[outcome]
        assert gap.grad is not None
        assert eta.grad is not None
        assert gap.grad.item() == pytest.approx(by_gap / (2 * step), abs=1e-8)
        assert eta.grad.item() == pytest.approx(by_eta / (2 * step), abs=1e-8)


def test_a_tie_draws_scores_together() -> None:
    gap = torch.tensor(0.8, requires_grad=True)
    rao_kupper(gap, torch.tensor(0.6))[1].backward()
    assert gap.grad is not None
    assert gap.grad.item() > 0.1


def test_far_apart_scores_stay_finite_with_ties() -> None:
    wins, ties = rao_kupper(torch.tensor([-500.0, 500.0]), torch.tensor(0.5))
    assert wins.tolist() == pytest.approx([500.5, 0.0])
    assert ties.tolist() == pytest.approx([500.5 - math.log(math.e - 1)] * 2)


def test_f_belongs_below_0_and_all_else_above() -> None:
    scores = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    losses = floor_losses(scores, torch.tensor([True, False]))
    f, other = math.log(1 + math.exp(2.0)), math.log(1 + math.exp(-0.5))
    assert losses.flatten().tolist() == pytest.approx(
        [f, math.log(1 + math.exp(-1.0)), other, math.log(2)], abs=1e-6
    )
    assert floor_losses(scores[:, 0], torch.tensor([True, False])).tolist() == pytest.approx([f, other])
