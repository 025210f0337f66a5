"""(IA)^3 (Liu et al. 2022): learned factors on keys, values and feed-forward activations, nothing else.

    k' = l_k * (W_k x + b_k)      v' = l_v * (W_v x + b_v)      y = W_down (l_ff * (act(W_gate x) * W_up x))

All factors are 1 at first. A factor on what comes out scales rows of the weight, one on what goes in columns,
so a model with factors is a plain one with other weights.
"""

from typing import Any

import torch

_OUT, _IN = ("k_proj", "v_proj"), "down_proj"


class ScaledLinear(torch.nn.Module):
    """A frozen linear layer with a learned factor for each number that goes in, or comes out.

    Args:
        base: The layer.
        scales_input: Which of the two.

    Attributes:
        factor: Shape [in] or [out].
    """

    def __init__(self, base: torch.nn.Linear, scales_input: bool) -> None:
        super().__init__()
        self.base, self.scales_input = base, scales_input
        self.factor = torch.nn.Parameter(torch.ones(base.in_features if scales_input else base.out_features))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape [..., in] to [..., out]."""
        if self.scales_input:
            scaled: torch.Tensor = self.base(states * self.factor.to(states.dtype))
            return scaled
        product: torch.Tensor = self.base(states)
        return product * self.factor.to(product.dtype)

    @torch.no_grad()
    def folded(self) -> torch.nn.Linear:
        """The plain layer that computes the same; the base is changed."""
        self.base.weight.mul_(self.factor if self.scales_input else self.factor[:, None])
        if self.base.bias is not None and not self.scales_input:
            self.base.bias.mul_(self.factor)
        return self.base


def add_factors(language_model: Any) -> None:
    """Freeze a causal language model and put factors on the layers named above.

    Raises:
        ValueError: The model has no layers of these names.
    """
    language_model.requires_grad_(False)
    found = 0
    for name, module in list(language_model.named_modules()):
        kind = name.rpartition(".")[2]
        if kind in (*_OUT, _IN) and isinstance(module, torch.nn.Linear):
            language_model.set_submodule(name, ScaledLinear(module, kind == _IN))
            found += 1
    if not found:
        raise ValueError(f"`distill.tuning.way` ia3 needs layers named {', '.join((*_OUT, _IN))}; got none")


def fold_factors(language_model: Any) -> None:
    """Put plain linear layers back, factors in their weights."""
    for name, module in list(language_model.named_modules()):
        if isinstance(module, ScaledLinear):
            language_model.set_submodule(name, module.folded())
