"""What a reward model minimises, summed by hand."""

import math
from typing import Any

import pytest
import torch

from configs.schema_reward import RewardConfig
from tasks.ml.preferences import FailMarks, Picks, Preferences, RewardTargets, Ties
from tasks.ml.reward_objective import RewardObjective, draw_questions

SCORES = [0.4, -0.9, 1.3, 0.1]
ONE = torch.ones(4, 1)


def softplus(value: float) -> float:
    return math.log(1 + math.exp(value))


def indices(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long)


def said(**changes: Any) -> RewardTargets:
    """Of four answers to two questions: 0 beats 1 by three votes, 3 beats 2 by one, and 2 beats 3 by one."""
    parts = {
        "question": indices(0, 0, 1, 1),
        "preferences": Preferences(indices(0, 3, 2), indices(1, 2, 3), torch.tensor([3.0, 1.0, 1.0])),
    }
    return RewardTargets(**(parts | changes))


def loss_of(
    config: RewardConfig, targets: RewardTargets, resample: torch.Tensor = ONE, **changes: Any
) -> float:
    section = config.model_copy(update={"learning_rate": 0.02, **changes})
    scores = torch.tensor(SCORES)[:, None].expand(4, resample.shape[1])
    return RewardObjective(section, targets, resample)(scores, targets).item()


@pytest.fixture(scope="module")
def reward(config) -> RewardConfig:
    return config.reward.model_copy(
        update={"loss": "bradley_terry", "floor_weight": 0.0, "margin_scale": 0.0}
    )


def test_every_vote_counts_and_contradictions_both(reward) -> None:
    expected = (3 * softplus(-1.3) + softplus(1.2) + softplus(-1.2)) / 5
    assert loss_of(reward, said()) == pytest.approx(expected, abs=1e-6)


def test_contradictory_votes_put_the_gap_at_their_odds(reward) -> None:
    # Two votes against one: by the margin alone there would be no best gap, by the votes it is log 2.
    votes = said(preferences=Preferences(indices(0, 1), indices(1, 0), torch.tensor([2.0, 1.0])))
    objective = RewardObjective(reward, votes, ONE)
    scores = torch.tensor([[math.log(2)], [0.0], [0.0], [0.0]], requires_grad=True)
    objective(scores, votes).backward()
    assert scores.grad is not None
    assert scores.grad.abs().max() < 1e-6


def test_margins_are_taken_off_gaps_by_marks(reward) -> None:
    rated = Preferences(indices(0, 3), indices(1, 2), torch.ones(2), torch.tensor([3.0, 0.5]))
    expected = (softplus(-(1.3 - 0.2 * 3)) + softplus(-(-1.2 - 0.2 * 0.5))) / 2
    got = loss_of(reward, said(preferences=rated), margin_scale=0.2)
    assert got == pytest.approx(expected, abs=1e-6)
    without = loss_of(reward, said(preferences=rated))
    assert without == pytest.approx((softplus(-1.3) + softplus(1.2)) / 2, abs=1e-6)
    # Where ties are counted, margin and threshold add up.
    tied = said(preferences=rated, ties=Ties(indices(0), indices(1), torch.tensor([2.0])))
    eta = math.log(3)  # as many ties as decided votes: 1 - 2 / (1 + theta) = 1 / 2
    wins = softplus(eta - 1.3 + 0.6) + softplus(eta + 1.2 + 0.1)
    tie = softplus(eta - 1.3) + softplus(eta + 1.3) - math.log(9 - 1)
    got = loss_of(reward, tied, margin_scale=0.2, loss="rao_kupper")
    assert got == pytest.approx((wins + 2 * tie) / 4, abs=1e-5)


def test_ties_are_counted_by_rao_and_kupper_and_dropped_by_bradley_and_terry(reward) -> None:
    tied = said(ties=Ties(indices(0), indices(1), torch.tensor([5.0])))
    assert loss_of(reward, tied) == pytest.approx(loss_of(reward, said()), abs=1e-6)
    eta = math.log(3)
    decided = 3 * softplus(eta - 1.3) + softplus(eta + 1.2) + softplus(eta - 1.2)
    tie = softplus(eta - 1.3) + softplus(eta + 1.3) - math.log(8)
    assert loss_of(reward, tied, loss="rao_kupper") == pytest.approx((decided + 5 * tie) / 10, abs=1e-5)


def test_rao_and_kupper_without_a_tie_is_bradley_and_terry(reward) -> None:
    assert loss_of(reward, said(), loss="rao_kupper") == pytest.approx(loss_of(reward, said()), abs=1e-6)


def test_rankings_are_learnt_pick_by_pick(reward) -> None:
    # 2 above 0 above 1, twice; then 3 above 2.
    picks = Picks(
        torch.tensor([[2, 0, 1], [0, 1, -1], [3, 2, -1]]), indices(1, 1, 1), torch.tensor([2.0, 2, 1])
    )
    powers = [math.exp(score) for score in SCORES]
    expected = (
        -2 * math.log(powers[2] / (powers[2] + powers[0] + powers[1]))
        - 2 * math.log(powers[0] / (powers[0] + powers[1]))
        - math.log(powers[3] / (powers[3] + powers[2]))
    ) / 5
    got = loss_of(reward, said(picks=picks), loss="plackett_luce")
    assert got == pytest.approx(expected, abs=1e-6)


def test_the_floor_has_its_weight(reward) -> None:
    fails = FailMarks(indices(1, 2), torch.tensor([True, False]), torch.tensor([3.0, 1.0]))
    floor = (3 * softplus(-0.9) + softplus(-1.3)) / 4
    expected = loss_of(reward, said()) + 0.7 * floor
    assert loss_of(reward, said(fails=fails), floor_weight=0.7) == pytest.approx(expected, abs=1e-6)


def test_each_head_counts_questions_as_often_as_it_drew_them(reward) -> None:
    drawn = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    expected = (2 * 3 * softplus(-1.3) + softplus(1.2) + softplus(-1.2)) / (5 * 2)
    assert loss_of(reward, said(), drawn) == pytest.approx(expected, abs=1e-6)


def test_a_batch_that_no_head_drew_costs_nothing(reward) -> None:
    objective = RewardObjective(reward, said(), torch.zeros(4, 2))
    scores = torch.zeros(4, 2, requires_grad=True)
    loss = objective(scores, said())
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert scores.grad.abs().max() == 0


def test_one_head_draws_each_question_once_and_several_once_on_average() -> None:
    question = torch.arange(3000) // 3
    assert torch.equal(draw_questions(question, 1, 7), torch.ones(3000, 1))
    drawn = draw_questions(question, 4, 7)
    assert drawn.shape == (3000, 4)
    # All answers to a question are drawn together, and heads differ.
    assert torch.equal(drawn[0::3], drawn[1::3])
    assert torch.equal(drawn[0::3], drawn[2::3])
    assert not torch.equal(drawn[:, 0], drawn[:, 1])
    # Poisson(1): mean 1, variance 1, e^-1 of the questions never.
    assert drawn[::3].mean().item() == pytest.approx(1, abs=0.06)
    assert drawn[::3].var().item() == pytest.approx(1, abs=0.15)
    assert (drawn[::3] == 0).float().mean().item() == pytest.approx(math.exp(-1), abs=0.03)
    assert torch.equal(drawn, draw_questions(question, 4, 7))
    assert not torch.equal(drawn, draw_questions(question, 4, 8))


def test_the_threshold_moves_at_a_pace_of_its_own_and_by_its_own_gradient(reward) -> None:
    # At a model's learning rate of 1e-6 it would stay where it is. The gradient must not be scaled with the
    # pace, or it would be all there is to the norm that gradients are scaled down to.
    section = reward.model_copy(update={"loss": "rao_kupper", "learning_rate": 1e-6})
    tied = said(ties=Ties(indices(0), indices(1), torch.tensor([5.0])))
    objective = RewardObjective(section, tied, ONE)
    assert objective.threshold.item() == pytest.approx(math.log(3), rel=1e-5)
    scores = torch.tensor(SCORES)[:, None] * 3
    objective(scores, tied).backward()

    def loss(log_eta: float) -> float:
        eta = math.exp(log_eta)
        decided = 3 * softplus(eta - 3.9) + softplus(eta + 3.6) + softplus(eta - 3.6)
        tie = softplus(eta - 3.9) + softplus(eta + 3.9) - math.log(math.exp(2 * eta) - 1)
        return (decided + 5 * tie) / 10

    start = math.log(math.log(3))
    expected = (loss(start + 1e-5) - loss(start - 1e-5)) / 2e-5
    assert objective.tie_shift.grad is not None
    assert objective.tie_shift.grad.item() == pytest.approx(expected, abs=1e-4)
    with torch.no_grad():
        objective.tie_shift.add_(1e-6)
    assert objective.threshold.item() == pytest.approx(math.log(3) * math.exp(0.02), rel=1e-5)


def test_without_ties_there_is_no_threshold_to_learn(reward) -> None:
    for loss in ("bradley_terry", "rao_kupper", "plackett_luce"):
        objective = RewardObjective(reward.model_copy(update={"loss": loss}), said(), ONE)
        assert not objective.tie_shift.requires_grad
        assert objective.threshold.item() == 0
