"""Early stopping on planted curves: when it ends, what it gives back, and that a kill changes nothing."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, PackedBatch
from tasks.ml.early_stopping import EarlyStopping
from tasks.ml.trainer import Watch, train

GROUPS = [Group((5, 6), (Branch((7,), (8, 1), 0),))]
PLAN = [GROUPS] * 12
# After step 2, 4, 6, ... Lowest after step 4; then two in a row are no lower, after step 8.
CURVE = {2: 3.0, 4: 1.0, 6: 2.0, 8: 1.0, 10: 0.5, 12: 0.4}


@pytest.fixture
def settings(config):
    def make(patience: int):
        update = {"patience": patience, "learning_rate": 0.1, "warmup_steps": 1, "checkpoint_seconds": 0.0}
        return config.distill.model_copy(update=update)

    return make


class Run:
    """One number that sinks at each step; what it was after each, and what was logged."""

    def __init__(self, settings, curve=CURVE, checkpoints=None) -> None:
        self.layer = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.layer.weight)
        self.after: dict[int, float] = {}
        self.points: list[tuple[int, dict[str, float]]] = []
        self.curve = curve
        watch = Watch(log=lambda points, step: self.points.append((step, points)))
        if checkpoints:
            watch.checkpoints = checkpoints
        train(self.layer, PLAN, self.loss, settings, 0, watch, self.validate)

    def loss(self, batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        return self.layer.weight.sum(), {}

    def validate(self, steps: int) -> dict[str, float]:
        self.after[steps] = self.layer.weight.item()
        return {"valid_nll": self.curve[steps]} if steps in self.curve else {}

    @property
    def best(self) -> list[float | None]:
        return [points.get("best_valid_nll") for _, points in self.points]


def test_it_ends_after_patience_and_gives_back_the_best(settings) -> None:
    run = Run(settings(2))
    assert [step for step, _ in run.points] == list(range(1, 9))
    assert run.best == [None, 3.0, None, 1.0, None, 1.0, None, 1.0]
    assert run.layer.weight.item() == run.after[4] != run.after[8]


def test_more_patience_sees_the_curve_fall_again(settings) -> None:
    run = Run(settings(3))
    assert len(run.points) == 12
    assert run.best[-1] == 0.4
    assert run.layer.weight.item() == run.after[12]


def test_at_the_end_the_best_is_given_back_though_nothing_stopped_it(settings) -> None:
    run = Run(settings(9), {2: 3.0, 4: 1.0, 12: 2.0})
    assert len(run.points) == 12
    assert run.layer.weight.item() == run.after[4]


def test_without_patience_it_never_ends_early_and_keeps_the_last(settings) -> None:
    run = Run(settings(0), {step: float(step) for step in range(1, 13)})
    assert run.best == [None] * 12
    assert run.layer.weight.item() == run.after[12]


def test_nan_is_no_improvement(settings) -> None:
    run = Run(settings(2), {1: math.nan, 2: 2.0, 3: math.nan, 4: math.nan})
    assert [step for step, _ in run.points] == [1, 2, 3, 4]
    assert run.layer.weight.item() == run.after[2]


@pytest.mark.parametrize("die_after", [1, 3, 5, 7])
def test_a_kill_changes_nothing(settings, make_checkpoints, interrupted, die_after: int) -> None:
    whole = Run(settings(2))
    with pytest.raises(interrupted):
        Run(settings(2), checkpoints=make_checkpoints(die_after))
    rest = Run(settings(2), checkpoints=make_checkpoints())
    assert [step for step, _ in rest.points] == list(range(die_after + 1, 9))
    assert rest.best == whole.best[die_after:]
    assert torch.equal(rest.layer.weight, whole.layer.weight)


def test_state_and_tensors_restore_it(settings) -> None:
    layers = [torch.nn.Linear(1, 1, bias=False) for _ in range(2)]
    stopping, other = (EarlyStopping(layer, 2) for layer in layers)
    stopping.observe({"valid_nll": 1.0})
    stopping.observe({"valid_nll": 1.5})
    other.restore(stopping.tensors(), stopping.state())
    assert not other.is_over
    assert other.observe({"valid_nll": 1.2}) == {"best_valid_nll": 1.0}
    assert other.is_over
    other.give_back()
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_frozen_weights_are_not_remembered() -> None:
    layer = torch.nn.Linear(1, 1)
    layer.bias.requires_grad_(False)
    stopping = EarlyStopping(layer, 1)
    stopping.observe({"valid_nll": 1.0})
    assert stopping.tensors().keys() == {"best.weight"}
