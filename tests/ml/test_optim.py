"""The schedule by hand, and what decays."""

import pytest
import torch

from tasks.ml.optim import adamw, set_learning_rate, warmup_cosine


def test_the_rate_rises_then_falls_by_half_a_cosine_to_a_tenth() -> None:
    rates = [warmup_cosine(step, 14, 4) for step in range(15)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[9] == pytest.approx(0.55)
    assert rates[14] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in zip(rates[4:], rates[5:], strict=False))


def test_a_run_of_no_more_steps_than_its_warm_up_still_runs() -> None:
    assert [warmup_cosine(step, 2, 5) for step in range(2)] == pytest.approx([0.2, 0.4])
    assert warmup_cosine(0, 1, 0) == 1.0


def test_matrices_decay_vectors_and_frozen_weights_do_not() -> None:
    layer, frozen = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2).requires_grad_(False)
    before = layer.weight.clone(), layer.bias.clone()
    optimizer = adamw([*layer.parameters(), *frozen.parameters()], 0.1, weight_decay=0.5)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2
    set_learning_rate(optimizer, 0.2)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.weight, before[0] * (1 - 0.2 * 0.5), atol=1e-6, rtol=0)
    assert torch.equal(layer.bias, before[1])


def test_the_first_step_has_the_size_of_the_rate() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = adamw([weight], 0.01, 0.0)
    weight.grad = torch.tensor([5.0])
    optimizer.step()
    assert weight.item() == pytest.approx(0.99, abs=1e-6)
