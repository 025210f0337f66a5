"""A fixed sparse mask: of the linear layers' weights only those learn that the loss is most sensitive to.

A weight's worth is its empirical Fisher information, the mean of its squared gradient, here over the first
optimiser steps' batches. Source: Sung et al. 2021, "Training Neural Networks with Fixed Sparse Masks".

The chosen weights are parameters of their own, written into the frozen matrix before each pass. So nothing
that an optimiser does can reach the others, and its moments are as sparse as the mask.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.nn.utils import parametrize

from configs.schema_distill import DistillConfig
from tasks.ml.batching import Group
from tasks.ml.checkpoint import Checkpoints
from tasks.ml.lora import linear_names
from tasks.ml.precision import arithmetic

_BATCHES = 16


class SparseWeight(torch.nn.Module):
    """Writes entries that learn into a frozen matrix.

    Args:
        weight: The matrix.
        index: Flat places of the entries. Shape [K].

    Attributes:
        values: The entries, a matrix like the one that they are of: such weights decay. Shape [K, 1].
    """

    index: torch.Tensor

    def __init__(self, weight: torch.Tensor, index: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index)
        self.values = torch.nn.Parameter(weight.detach().flatten()[index, None])

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Shape [out, in] to [out, in]."""
        return weight.flatten().index_copy(0, self.index, self.values.squeeze(1)).view_as(weight)


def add_mask(
    language_model: Any,
    plan: Sequence[Sequence[Group]],
    loss_of: Callable[[Sequence[Group]], torch.Tensor],
    config: DistillConfig,
    checkpoints: Checkpoints,
) -> None:
    """Let only the most sensitive weights of the transformer layers' linear layers learn, in place.

    The choice is kept with the checkpoints: a run that goes on elsewhere must not choose again.

    Args:
        language_model: A causal language model whose linear layers can learn.
        plan: The groups of every optimiser step.
        loss_of: The loss of one step's groups.
        config: Its mask share and precision.
        checkpoints: Where the choice is kept, under the name `mask`.
    """
    saved = checkpoints.load("mask")
    if saved is None:
        squares = squared_gradients(language_model, _losses(plan[:_BATCHES], loss_of, config))
        saved = most_sensitive(squares, config.tuning.mask_share), {}
        checkpoints.save("mask", *saved)
    language_model.requires_grad_(False)
    for name, index in saved[0].items():
        layer = language_model.get_submodule(name)
        parametrize.register_parametrization(layer, "weight", SparseWeight(layer.weight, index))


def squared_gradients(language_model: Any, losses: Iterator[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Sum of the squared gradients of the losses, for each linear layer. Shapes [out, in]."""
    names = list(linear_names(language_model, range(len(language_model.model.layers))))
    weights = [language_model.get_submodule(name).weight for name in names]
    squares = [torch.zeros_like(weight) for weight in weights]
    for loss in losses:
        for total, gradient in zip(squares, torch.autograd.grad(loss, weights), strict=True):
            total += gradient.square()
    return dict(zip(names, squares, strict=True))


def most_sensitive(squares: Mapping[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """Flat places of the largest entries of all matrices together; a matrix without any is left out."""
    flat = torch.cat([square.flatten() for square in squares.values()])
    chosen = torch.zeros(len(flat), dtype=torch.bool)
    chosen[flat.topk(max(1, round(share * len(flat)))).indices] = True
    parts = chosen.split([square.numel() for square in squares.values()])
    places = {name: part.nonzero().flatten() for name, part in zip(squares, parts, strict=True)}
    return {name: index for name, index in places.items() if len(index)}


def remove_mask(language_model: Any) -> None:
    """Put plain weights back, with what was learnt."""
    for module in list(language_model.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _losses(
    plan: Sequence[Sequence[Group]], loss_of: Callable[[Sequence[Group]], torch.Tensor], config: DistillConfig
) -> Iterator[torch.Tensor]:
    for groups in plan:
        with arithmetic(config.precision):
            loss = loss_of(groups)
        yield loss
