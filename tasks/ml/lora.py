"""Low-rank adapters (Hu et al. 2021) on linear layers: y = x (W + s B A)^T with W frozen, s = alpha / rank.

One adapter can be merged: the layer then computes with W' = W + s B A, which has to be made anew after every
step, and needs no product of low rank on the way forward. On the way back, with g = dL/dy:

    dL/dx = g W'        dL/dB = s g^T (x A^T)        dL/dA = s (g B)^T x

so the gradient of W' itself, as costly as a forward pass, is never made.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.nn.functional import linear


class AdaptedLinear(torch.nn.Module):
    """A linear layer below some adapters, of which at most one is switched on.

    Args:
        base: The layer; it is frozen.
        merged: Takes W' of the first adapter, in the precision to compute in. Shape [out, in].
        adapters: Their names; the first is the one that is merged.
        rank: Columns of B and rows of A.
        scale: s.

    Attributes:
        active: The adapter that is switched on; None: the layer is as it was.
        down: A of each adapter. Shapes [rank, in].
        up: B of each adapter, 0 at first. Shapes [out, rank].
    """

    def __init__(
        self, base: torch.nn.Linear, merged: torch.Tensor, adapters: Iterable[str], rank: int, scale: float
    ) -> None:
        super().__init__()
        self.weight = base.weight.requires_grad_(False)
        self.bias: torch.nn.Parameter | None = base.bias
        if base.bias is not None:
            base.bias.requires_grad_(False)
        self.merged, self.scale = merged, scale
        self._lower: torch.Tensor | None = None
        self.down, self.up = torch.nn.ParameterDict(), torch.nn.ParameterDict()
        for name in adapters:
            self.down[name] = torch.empty(rank, base.in_features)
            self.up[name] = torch.zeros(base.out_features, rank)
            torch.nn.init.kaiming_uniform_(self.down[name], a=math.sqrt(5))
        self.first = next(iter(self.down))
        self.active: str | None = self.first
        if merged.dtype == torch.bfloat16:
            self._split()

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape [..., in] to [..., out]."""
        product = self._product(states.to(self.weight.dtype))
        return product if self.bias is None else product + self.bias.to(product.dtype)

    def _product(self, states: torch.Tensor) -> torch.Tensor:
        if self.active is None:
            return linear(states, self.weight)
        down, up = self.down[self.active], self.up[self.active]
        if self.active == self.first:
            product: torch.Tensor = _MergedLinear.apply(states, down, up, self.merged, self.scale)  # type: ignore[no-untyped-call]
            return product
        return linear(states, self.weight) + self.scale * linear(linear(states, down), up)

    def _split(self) -> None:
        """Store W as the sum of two bf16 numbers.

        The upper one is what autocast would make of it at every pass. Both together hold 16 bits of the 24 in
        an fp32 number: half a unit in the last of them is a relative error of 2^-17.
        """
        upper = self.weight.data.bfloat16()
        self._lower = (self.weight.data - upper).bfloat16()
        self.weight.data = upper

    @torch.no_grad()
    def whole(self) -> torch.Tensor:
        """W' of the first adapter in fp32. Shape [out, in]."""
        weight = self.weight.float()
        if self._lower is not None:
            weight = weight + self._lower
        up, down = self.up[self.first].float(), self.down[self.first].float()
        return torch.addmm(weight, up, down, alpha=self.scale)

    @torch.no_grad()
    def merge(self) -> None:
        """Make W' anew from what the first adapter is now."""
        self.merged.copy_(self.whole())


class _MergedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        down: torch.Tensor,
        up: torch.Tensor,
        merged: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        ctx.save_for_backward(states, down, up, merged)
        ctx.scale = scale
        return linear(states, merged)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, down, up, merged = ctx.saved_tensors
        [gradient] = gradients
        of_states = gradient @ merged if ctx.needs_input_grad[0] else None
        rows, inner = gradient.flatten(0, -2), states.flatten(0, -2)
        of_down = ((rows @ up.to(rows.dtype)).T @ inner).to(down.dtype) * ctx.scale
        of_up = (rows.T @ (inner @ down.to(inner.dtype).T)).to(up.dtype) * ctx.scale
        return of_states, of_down, of_up, None, None


class SelfMergingLinear(AdaptedLinear):
    """One adapter that is merged anew before every pass, so that nobody has to say when it has changed.

    The merged weight is a new tensor each time: a pass before may still need the old one for its gradients.

    Args:
        base: The layer; it is frozen.
        rank: Columns of B and rows of A.
        scale: s.
        dtype: In which to compute.
    """

    def __init__(self, base: torch.nn.Linear, rank: int, scale: float, dtype: torch.dtype) -> None:
        super().__init__(base, torch.empty(0, dtype=dtype), ("default",), rank, scale)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape [..., in] to [..., out]."""
        self.merged = self.whole().to(self.merged.dtype)
        return super().forward(states)


def linear_names(model: torch.nn.Module, layers: Iterable[int]) -> Iterator[str]:
    """Names of the linear layers in these transformer layers of a causal language model."""
    wanted = tuple(f"model.layers.{number}." for number in layers)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.startswith(wanted):
            yield name


def add_adapters(language_model: Any, rank: int, scale: float, dtype: torch.dtype, seed: int) -> None:
    """Freeze a causal language model and put an adapter on every linear layer of its transformer layers."""
    language_model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in list(linear_names(language_model, range(len(language_model.model.layers)))):
            base = language_model.get_submodule(name)
            language_model.set_submodule(name, SelfMergingLinear(base, rank, scale, dtype))


def without_adapters(model: torch.nn.Module) -> None:
    """Put plain linear layers back, with the first adapter merged into their weights, fp32."""
    for name, module in list(model.named_modules()):
        if isinstance(module, AdaptedLinear):
            whole = module.whole()
            plain = torch.nn.Linear(whole.shape[1], whole.shape[0], bias=False, device="meta")
            plain.weight = torch.nn.Parameter(whole)
            plain.bias = module.bias  # type: ignore[assignment]
            model.set_submodule(name, plain)
