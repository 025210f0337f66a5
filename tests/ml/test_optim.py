"""The schedules by hand, and what decays."""

import pytest
import torch

from tasks.ml.optim import adamw, rate_factor, set_learning_rate


def test_the_rate_rises_then_falls_by_half_a_cosine_to_a_tenth() -> None:
    rates = [rate_factor("cosine", step, 14, 4) for step in range(15)]
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[9] == pytest.approx(0.55)
    assert rates[14] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in zip(rates[4:], rates[5:], strict=False))


def test_or_falls_along_a_line() -> None:
    rates = [rate_factor("linear", step, 12, 2) for step in range(13)]
    assert rates == pytest.approx([0.5, 1, 1, 0.91, 0.82, 0.73, 0.64, 0.55, 0.46, 0.37, 0.28, 0.19, 0.1])


def test_or_stays() -> None:
    assert [rate_factor("constant", step, 6, 2) for step in range(7)] == [0.5, 1, 1, 1, 1, 1, 1]


def test_or_stays_and_falls_along_a_line_at_the_end() -> None:
    # Of 10 steps after 2 of warm-up the last 4 fall, each by a quarter of 0.9.
    rates = [rate_factor("wsd", step, 12, 2, decay_share=0.4) for step in range(13)]
    assert rates == pytest.approx([0.5, *[1.0] * 8, 0.775, 0.55, 0.325, 0.1])


def test_a_decay_share_of_all_is_the_line() -> None:
    wsd, line = ([rate_factor(name, step, 9, 3) for step in range(10)] for name in ("wsd", "linear"))
    assert wsd == pytest.approx(line)


def test_another_floor() -> None:
    assert rate_factor("linear", 5, 10, 0, floor=0.4) == pytest.approx(0.7)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "wsd"])
def test_a_run_of_no_more_steps_than_its_warm_up_still_runs(schedule) -> None:
    assert [rate_factor(schedule, step, 2, 5) for step in range(2)] == pytest.approx([0.2, 0.4])
    assert rate_factor(schedule, 0, 1, 0) == 1.0


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
