"""Linear layers for decoding, where a product has no more rows than there are answers in progress."""

from typing import TypeVar

import torch

Model = TypeVar("Model", bound=torch.nn.Module)

_FEW = 128
_STEP = 16  # a product of 30 rows takes 1.7 times as long as one of 32


class FewRowsLinear(torch.nn.Linear):
    """x W^T, computed as (W x^T)^T where x has few rows, which are made up to a multiple of 16.

    In fp32 a language-model head takes 14 ms that way for 16 rows and 20 ms the other, 19 and 30 ms for 32
    (49,152 x 576, two Zen 3 cores); with many rows there is nothing to be gained.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Shape [..., in] to [..., out]."""
        rows = input.flatten(0, -2)
        count = len(rows)
        if count > _FEW:
            return super().forward(input)
        if count > _STEP // 4:
            rows = torch.nn.functional.pad(rows, (0, 0, 0, -count % _STEP))
        product = torch.mm(self.weight, rows.T)[:, :count].T
        if self.bias is not None:
            product = product + self.bias
        return product.contiguous().view(*input.shape[:-1], -1)


def use_few_rows(model: Model) -> Model:
    """Replace the linear layers of a model; their weights stay the same tensors."""
    for name, module in list(model.named_modules()):
        if type(module) is torch.nn.Linear:
            layer = FewRowsLinear(module.in_features, module.out_features, bias=False, device="meta")
            layer.weight, layer.bias = module.weight, module.bias
            model.set_submodule(name, layer)
    return model
