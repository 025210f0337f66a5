"""Checkpoint files: exact, plain, and with nothing that is not trained."""

import torch

from tasks.ml.checkpoint import NoCheckpoints, capture, read_state, restore, write_state
from tasks.ml.optim import adamw


def test_tensors_and_state_survive_the_file(tmp_path) -> None:
    tensors = {"a.b": torch.randn(3, 2).T, "whole": torch.tensor([2**40]), "half": torch.randn(2).half()}
    state = {"step": 3, "figures": {"kl": 0.1 + 0.2}, "text": "\u00e9"}
    write_state(tmp_path / "state", tensors, state)
    got, said = read_state(tmp_path / "state")
    assert said == state
    assert got.keys() == tensors.keys()
    assert all(
        torch.equal(got[name], tensors[name]) and got[name].dtype == tensors[name].dtype for name in tensors
    )


def step(layer: torch.nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    layer(inputs).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_an_optimiser_goes_on_where_it_was(tmp_path) -> None:
    layers = [torch.nn.Linear(3, 2) for _ in range(2)]
    optimizers = [adamw(layer.parameters(), 0.1, 0.1) for layer in layers]
    for seed in range(3):
        step(layers[0], optimizers[0], seed)
    write_state(tmp_path / "state", capture(layers[0], optimizers[0]), {})
    restore(layers[1], optimizers[1], read_state(tmp_path / "state")[0])
    for layer, optimizer in zip(layers, optimizers, strict=True):
        step(layer, optimizer, 7)
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert torch.equal(layers[0].bias, layers[1].bias)


def test_frozen_weights_are_not_kept() -> None:
    layer = torch.nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    assert capture(layer, adamw(layer.parameters(), 0.1, 0.0)).keys() == {"model.bias"}


def test_other_names_are_left_alone_by_restore() -> None:
    layer = torch.nn.Linear(1, 1)
    before = layer.weight.clone()
    restore(layer, adamw(layer.parameters(), 0.1, 0.0), {"within.model.weight": torch.zeros(1, 1)})
    assert torch.equal(layer.weight, before)


def test_no_checkpoints_keep_nothing() -> None:
    keeper = NoCheckpoints()
    keeper.save("train", {}, {})
    assert keeper.load("train") is None
