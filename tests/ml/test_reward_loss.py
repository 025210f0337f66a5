"""Bradley and Terry's loss by hand."""

import math

import pytest
import torch

from tasks.ml.reward_loss import bradley_terry


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
