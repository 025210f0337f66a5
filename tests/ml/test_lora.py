"""Adapters against plain autograd on W + s B A, in the arithmetic that nobody would train with: fp64 sums."""

import pytest
import torch

from tasks.ml.lora import AdaptedLinear, SelfMergingLinear, linear_names, without_adapters

SCALE, RANK = 2.0, 2


@pytest.fixture
def base() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 4)


def adapted(base: torch.nn.Linear, dtype: torch.dtype = torch.float32) -> AdaptedLinear:
    """Two adapters, both away from where they start."""
    layer = AdaptedLinear(base, torch.empty(4, 3, dtype=dtype), ("policy", "value"), RANK, SCALE)
    torch.manual_seed(1)
    with torch.no_grad():
        for up in layer.up.values():
            up.normal_()
    layer.merge()
    return layer


def test_a_new_adapter_changes_nothing(base) -> None:
    weight = base.weight.detach().clone()
    layer = AdaptedLinear(base, torch.empty(4, 3), ("policy",), RANK, SCALE)
    layer.merge()
    assert torch.equal(layer.merged, weight)
    assert layer.down["policy"].abs().min() > 0


@pytest.mark.parametrize("adapter", ["policy", "value"])
def test_output_and_gradients_are_those_of_the_sum(base, adapter: str) -> None:
    layer = adapted(base)
    layer.active = adapter
    states = torch.randn(2, 5, 3, requires_grad=True)
    weights = torch.randn(2, 5, 4)
    product = layer(states)
    (product * weights).sum().backward()
    x, down, up = (
        t.detach().double().requires_grad_() for t in (states, layer.down[adapter], layer.up[adapter])
    )
    expected = x @ (base.weight.double() + SCALE * up @ down).T + base.bias.double()
    (expected * weights).sum().backward()
    torch.testing.assert_close(product.double(), expected, atol=1e-5, rtol=1e-5)
    for own, plain in ((states, x), (layer.down[adapter], down), (layer.up[adapter], up)):
        torch.testing.assert_close(own.grad.double(), plain.grad, atol=1e-5, rtol=1e-5)
    other = {"policy": "value", "value": "policy"}[adapter]
    assert layer.down[other].grad is None
    assert layer.weight.grad is None


def test_switched_off_it_is_the_layer_as_it_was(base) -> None:
    states = torch.randn(5, 3)
    expected = base(states).detach()
    layer = adapted(base)
    layer.active = None
    torch.testing.assert_close(layer(states), expected, atol=1e-6, rtol=0)


def test_in_bf16_the_frozen_weight_keeps_sixteen_bits(base) -> None:
    weight = base.weight.detach().clone()
    layer = adapted(base, torch.bfloat16)
    assert layer.weight.dtype == layer.merged.dtype == torch.bfloat16
    expected = weight + SCALE * layer.up["policy"] @ layer.down["policy"]
    assert ((layer.whole() - expected).abs() <= weight.abs() * 2**-17 + 1e-6).all()
    torch.testing.assert_close(layer.merged, layer.whole().bfloat16(), rtol=0, atol=0)


def test_an_adapter_that_merges_itself_is_never_behind(base) -> None:
    layer = SelfMergingLinear(base, RANK, SCALE, torch.float32)
    down, up = layer.down["default"], layer.up["default"]
    first, second = torch.randn(5, 3), torch.randn(5, 3)
    total = layer(first).sum()
    with torch.no_grad():
        # As the fused optimiser does: autograd does not hear of it.
        up.data.normal_()
    product = layer(second)
    expected = second @ (base.weight + SCALE * up @ down).T + base.bias
    torch.testing.assert_close(product, expected)
    (total + product.sum()).backward()
    ones = torch.ones(5, 4)
    of_up = SCALE * (ones.T @ (first + second) @ down.T)
    torch.testing.assert_close(up.grad, of_up)


def test_a_bias_stays_when_plain_layers_come_back(base) -> None:
    model, bias = torch.nn.Sequential(adapted(base)), base.bias
    without_adapters(model)
    assert type(model[0]) is torch.nn.Linear
    assert model[0].bias is bias


def test_a_model_gets_plain_layers_back(make_llama) -> None:
    model, ids = make_llama(), torch.tensor([[5, 6, 7]])
    names = list(linear_names(model, [1]))
    assert len(names) == 7
    assert all(name.startswith("model.layers.1.") for name in names)
    for name in names:
        linear = model.get_submodule(name)
        model.set_submodule(name, AdaptedLinear(linear, linear.weight.data.clone(), ("policy",), RANK, SCALE))
        layer = model.get_submodule(name)
        torch.nn.init.normal_(layer.up["policy"])
        layer.merge()
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        without_adapters(model)
        assert {type(model.get_submodule(name)) for name in names} == {torch.nn.Linear}
        torch.testing.assert_close(model(input_ids=ids).logits, expected)
