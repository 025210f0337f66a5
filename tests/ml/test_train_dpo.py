"""Direct preference optimisation: the loss by hand, and a planted preference that is learnt."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack, plan_epochs
from tasks.ml.preferences import Preferences
from tasks.ml.reward_loss import bradley_terry
from tasks.ml.train_dpo import all_log_probs, answer_log_probs, reward_figures, train_dpo
from tasks.ml.trainer import Watch

GOOD, BAD = 30, 31
QUESTIONS = 10
ANSWERS = 2 * QUESTIONS


def groups() -> list[Group]:
    """Each question has an answer with the good token, of even number, and one with the bad token."""
    return [
        Group(
            (5, 6, 7 + q), (Branch((20,), (8 + q, GOOD, 1), 2 * q), Branch((20,), (9 + q, BAD, 1), 2 * q + 1))
        )
        for q in range(QUESTIONS)
    ]


def good_wins() -> Preferences:
    good = torch.arange(0, ANSWERS, 2)
    return Preferences(good, good + 1, torch.ones(QUESTIONS))


@pytest.fixture
def settings(config):
    changes = {"token_budget": 40, "learning_rate": 3e-3, "checkpoint_seconds": 0.0, "frozen_layers": 0}
    return config.dpo.model_copy(update=changes)


def plain_log_prob(model, prompt: list[int], response: tuple[int, ...]) -> float:
    """One token after the other, each from a forward pass of its own."""
    total, ids = 0.0, list(prompt)
    for token in response:
        with torch.no_grad():
            total += model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token].item()
        ids.append(token)
    return total


def test_log_probs_are_those_of_each_answer_alone(make_llama, settings) -> None:
    model, own = make_llama(), groups()[:3]
    found = all_log_probs(model, own, ANSWERS, settings)
    for group in own:
        for branch in group.branches:
            expected = plain_log_prob(model, [*group.prefix, *branch.tail], branch.response)
            assert found[branch.index].item() == pytest.approx(expected, abs=1e-4)
    assert found.isnan().tolist() == [False] * 6 + [True] * (ANSWERS - 6)
    with torch.no_grad():
        part = answer_log_probs(model, pack(own[1:2], 0), ANSWERS)
    torch.testing.assert_close(part[2:4], found[2:4], atol=1e-5, rtol=0)
    assert part.isnan().sum() == ANSWERS - 2


def test_the_loss_by_hand(make_llama, settings) -> None:
    # The policy finds the chosen answer 2 nats likelier than the reference does, the rejected one 1 nat less
    # likely: beta 0.5 makes rewards of 1 and -0.5, a margin of 1.5. The other pair is the other way round.
    model, points = make_llama(), []
    own = groups()[:2]
    moved = torch.tensor([2.0, -1.0, -1.0, 2.0])
    reference = all_log_probs(model, own, 4, settings) - moved
    pairs = Preferences(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.tensor([3.0, 1.0]))
    once = settings.model_copy(update={"beta": 0.5, "epochs": 1, "token_budget": 1000})
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    train_dpo(model, reference, own, pairs, once, 0, watch)
    right, wrong = math.log(1 + math.exp(-1.5)), math.log(1 + math.exp(1.5))
    assert len(points) == 1
    assert points[0]["loss"] == pytest.approx((3 * right + wrong) / 4, abs=1e-5)
    assert points[0]["accuracy"] == 0.5
    assert points[0]["margin"] == pytest.approx(0, abs=1e-5)
    assert points[0]["chosen_reward"] == pytest.approx((1 - 0.5) / 2, abs=1e-5)
    assert points[0]["rejected_reward"] == pytest.approx((-0.5 + 1) / 2, abs=1e-5)


def test_the_gradient_raises_the_chosen_answer_most_where_the_order_is_wrong(make_llama, settings) -> None:
    # d loss / d log pi(chosen) = -beta sigmoid(-margin); here at margins 1.5 and -1.5.
    model, own = make_llama(), groups()[:2]
    log_probs = answer_log_probs(model, pack(own, 0), 4)
    log_probs.retain_grad()
    rewards = 0.5 * (log_probs - (log_probs.detach() - torch.tensor([2.0, -1.0, -1.0, 2.0])))
    pairs = Preferences(torch.tensor([0, 2]), torch.tensor([1, 3]), torch.ones(2))
    bradley_terry(rewards[pairs.chosen], rewards[pairs.rejected], pairs.votes).backward()
    easy, hard = 0.5 / (1 + math.exp(1.5)) / 2, 0.5 / (1 + math.exp(-1.5)) / 2
    assert log_probs.grad.tolist() == pytest.approx([-easy, easy, -hard, hard], abs=1e-6)
    assert model.lm_head.weight.grad.abs().sum() > 0


def test_a_planted_preference_is_learnt(make_llama, settings) -> None:
    model, points = make_llama(), []
    longer = settings.model_copy(update={"epochs": 8})
    reference = all_log_probs(model, groups(), ANSWERS, settings)
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    train_dpo(model, reference, groups(), good_wins(), longer, 0, watch)
    assert len(points) == len(plan_epochs([groups()] * longer.epochs, longer.token_budget, 0))
    assert points[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)  # nothing has moved yet
    assert points[0]["margin"] == pytest.approx(0, abs=1e-5)
    assert points[-1]["loss"] < 0.5 * points[0]["loss"]
    rewards = longer.beta * (all_log_probs(model, groups(), ANSWERS, settings) - reference)
    figures = reward_figures(rewards, good_wins())
    assert figures["accuracy"] == 1.0
    assert figures["margin"] > 0.5
    assert figures["margin"] == pytest.approx(figures["chosen_reward"] - figures["rejected_reward"], abs=1e-5)


@pytest.mark.parametrize("die_after", [1, 4])
def test_a_run_cut_short_goes_on_to_the_same_weights(
    make_llama, settings, make_checkpoints, interrupted, die_after: int
) -> None:
    settings = settings.model_copy(update={"epochs": 2})

    def run(watch: Watch):
        model = make_llama()
        reference = all_log_probs(model, groups(), ANSWERS, settings)
        train_dpo(model, reference, groups(), good_wins(), settings, 0, watch)
        return model

    undisturbed = run(Watch())
    with pytest.raises(interrupted):
        run(Watch(checkpoints=make_checkpoints(die_after)))
    resumed = run(Watch(checkpoints=make_checkpoints()))
    for expected, found in zip(undisturbed.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_the_bottom_stays_frozen(make_llama, settings) -> None:
    model = make_llama(layers=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reference = all_log_probs(model, groups(), ANSWERS, settings)
    frozen = settings.model_copy(update={"frozen_layers": 2})
    train_dpo(model, reference, groups(), good_wins(), frozen, 0, Watch())
    for name, tensor in model.state_dict().items():
        still = "embed" in name or "lm_head" in name or ".layers.0." in name or ".layers.1." in name
        assert torch.equal(tensor, before[name]) == still, name
