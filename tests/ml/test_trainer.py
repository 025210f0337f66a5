"""The training loop: what it updates, what it reports, and that a run that was cut short ends the same."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, PackedBatch
from tasks.ml.kd_loss import gold_cross_entropy
from tasks.ml.models import freeze_bottom, hidden_states, response_log_probs
from tasks.ml.trainer import Watch, train

GROUPS = [Group((5, 6), (Branch((7 + number,), (20 + number, 1), number),)) for number in range(6)]
PLAN = [[GROUPS[step % 6], GROUPS[(step + 2) % 6]] for step in range(7)]


def nll(model):
    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        log_probs = response_log_probs(model, hidden_states(model, batch), batch)
        return gold_cross_entropy(log_probs, batch.target).mean(), {"example": float(batch.example[0])}

    return loss_of


@pytest.fixture
def settings(config):
    return config.distill.model_copy(
        update={"learning_rate": 0.01, "warmup_steps": 3, "checkpoint_seconds": 0.0, "weight_decay": 0.1}
    )


def same(first, second) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("die_after", [1, 4, 6])
def test_a_run_cut_short_goes_on_to_the_same_weights(
    make_llama, settings, make_checkpoints, interrupted, die_after: int
) -> None:
    undisturbed, model = make_llama(), make_llama()
    train(undisturbed, PLAN, nll(undisturbed), settings, 0, Watch())
    with pytest.raises(interrupted):
        train(model, PLAN, nll(model), settings, 0, Watch(checkpoints=make_checkpoints(die_after)))
    assert not same(model, undisturbed)
    steps = []
    model = make_llama(seed=9)
    watch = Watch(log=lambda points, step: steps.append(step), checkpoints=make_checkpoints())
    train(model, PLAN, nll(model), settings, 0, watch)
    assert steps == list(range(die_after + 1, 8))
    assert same(model, undisturbed)


def test_the_last_step_leaves_no_checkpoint_behind_it(make_llama, settings, make_checkpoints) -> None:
    checkpoints, model = make_checkpoints(), make_llama()
    train(model, PLAN, nll(model), settings, 0, Watch(checkpoints=checkpoints))
    assert checkpoints.saves == len(PLAN) - 1


def test_frozen_weights_stay_and_the_others_move(make_llama, settings) -> None:
    model = make_llama(layers=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    freeze_bottom(model, 2)
    train(model, PLAN, nll(model), settings, 0, Watch())
    for name, tensor in model.state_dict().items():
        frozen = "embed" in name or "lm_head" in name or ".layers.0." in name or ".layers.1." in name
        assert torch.equal(tensor, before[name]) == frozen, name


def test_a_frozen_run_can_be_resumed(make_llama, settings, make_checkpoints, interrupted) -> None:
    models = [make_llama(layers=3) for _ in range(3)]
    for model in models:
        freeze_bottom(model, 2)
    train(models[0], PLAN, nll(models[0]), settings, 0, Watch())
    with pytest.raises(interrupted):
        train(models[1], PLAN, nll(models[1]), settings, 0, Watch(checkpoints=make_checkpoints(3)))
    train(models[2], PLAN, nll(models[2]), settings, 0, Watch(checkpoints=make_checkpoints()))
    assert same(models[0], models[2])


def test_every_step_reports_loss_rate_and_what_validation_says(make_llama, settings) -> None:
    model, points = make_llama(), []
    train(
        model,
        PLAN,
        nll(model),
        settings,
        0,
        Watch(log=lambda metrics, step: points.append((step, metrics))),
        lambda done: {"valid": done * 1.0} if done % 2 else {},
    )
    assert [step for step, _ in points] == list(range(1, 8))
    cosines = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)) for share in (0, 0.25, 0.5, 0.75)]
    expected = [0.01 * factor for factor in (1 / 3, 2 / 3, 1.0, *cosines)]
    assert [metrics["learning_rate"] for _, metrics in points] == pytest.approx(expected)
    assert [metrics.get("valid") for _, metrics in points] == [1, None, 3, None, 5, None, 7]
    assert points[-1][1]["loss"] < points[0][1]["loss"]
    assert all(metrics["tokens_per_second"] > 0 and metrics["grad_norm"] > 0 for _, metrics in points)
    assert [metrics["example"] for _, metrics in points] == [0, 1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize(
    ("schedule", "last"), [("linear", 0.1 + 0.9 * 0.25), ("constant", 1.0), ("wsd", 0.1 + 0.9 * 0.5)]
)
def test_the_schedule_is_the_sections(make_llama, settings, schedule: str, last: float) -> None:
    model, rates = make_llama(), []
    named = settings.model_copy(update={"schedule": schedule, "decay_share": 0.5})
    watch = Watch(log=lambda metrics, step: rates.append(metrics["learning_rate"]))
    train(model, PLAN, nll(model), named, 0, watch)
    # Four steps follow the warm-up; before the last of them a quarter is left.
    assert rates[2] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0.01 * last)


def test_a_reward_model_learns_by_the_cosine(make_llama, config) -> None:
    model, rates = make_llama(), []
    reward = config.reward.model_copy(update={"learning_rate": 0.01, "warmup_steps": 3})
    watch = Watch(log=lambda metrics, step: rates.append(metrics["learning_rate"]))
    train(model, PLAN, nll(model), reward, 0, watch, lambda done: {"valid_nll": 1.0})
    assert rates[-1] == pytest.approx(0.01 * (0.1 + 0.9 * 0.5 * (1 + math.cos(0.75 * math.pi))))
    assert len(rates) == 7


def test_gradients_are_scaled_down_to_the_norm(settings) -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    plain = settings.model_copy(update={"max_grad_norm": 0.5})
    norms: list[float] = []

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        return 8.0 * layer.weight.sum(), {}

    original = torch.optim.AdamW.step

    def spy(optimizer, *args, **kwargs):
        norms.append(float(layer.weight.grad.norm()))
        return original(optimizer, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spy)
        train(layer, PLAN[:1], loss_of, plain, 0, Watch())
    assert norms == pytest.approx([0.5], abs=1e-5)
