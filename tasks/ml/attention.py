"""Attention for training on short rows, written out.

On processors the fused kernel's backward pass is slow for rows of a few hundred tokens: forward and backward
over 6 rows of 84 take 13 ms there and 4 ms here (9 heads, 3 of keys, bf16). Keys and values are not repeated
for the heads that share them. Long rows, and passes without gradients, go to the fused kernel.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

WRITTEN_OUT = "written_out"
_LONGEST_ROW = 256


def written_out_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend, as transformers asks it of an attention function.

    Args:
        module: The layer.
        query: Shape [B, heads, T, D].
        key: Shape [B, KV, T, D], KV a divisor of the heads.
        value: Shape [B, KV, T, D].
        attention_mask: True where a row may attend to a column. Shape [B, 1, T, T].
        options: Among them `scaling`, by which products are multiplied.

    Returns:
        Shape [B, T, heads, D], and no weights.
    """
    if attention_mask is None or not query.requires_grad or query.shape[2] > _LONGEST_ROW:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    batch, heads, length, size = query.shape
    shared = key.shape[1]
    query = (query * options["scaling"]).reshape(batch, shared, -1, size)
    scores = (query @ key.transpose(-1, -2)).view(batch, heads, length, length)
    bias = torch.zeros(attention_mask.shape).masked_fill_(~attention_mask, -torch.inf)
    weights = (scores + bias).softmax(-1).to(value.dtype)
    mixed = weights.view(batch, shared, -1, length) @ value
    return mixed.view(batch, heads, length, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(WRITTEN_OUT, written_out_attention)
AttentionMaskInterface.register(WRITTEN_OUT, sdpa_mask)
