"""Make a model narrower: keep the key-value heads, feed-forward and hidden channels that matter.

What is left computes what the whole model computes when the units left out are set to zero. A key-value
head goes with the query heads that share it, so that grouped-query attention stays valid; each layer keeps
its own heads and feed-forward channels, all layers keep the same hidden channels: the residual stream's.

RMSNorm divides by the mean over all d hidden channels, of which d' are left. With n = d / d',

    w x / sqrt(sum x^2 / d + eps) = (sqrt(n) w) x / sqrt(sum x^2 / d' + n eps)

where the channels left out are zero: the norm's weights grow by sqrt(n) and eps by n. The norms of queries
and keys (Qwen3) share eps but not d: what goes into them grows by sqrt(n) too, which their division undoes.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from tasks.ml.batching import PackedBatch
from tasks.ml.pruning import counted_tokens

# Others norm in other ways (Gemma adds 1 to the weights) or scale by the hidden size.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
# What the rows and the columns of a weight belong to; a bias has rows only.
AXES = {
    "embed_tokens": ("tokens", "hidden"),
    "lm_head": ("tokens", "hidden"),
    "q_proj": ("queries", "hidden"),
    "k_proj": ("keys", "hidden"),
    "v_proj": ("keys", "hidden"),
    "o_proj": ("hidden", "queries"),
    "q_norm": ("one head",),
    "k_norm": ("one head",),
    "gate_proj": ("ffn", "hidden"),
    "up_proj": ("ffn", "hidden"),
    "down_proj": ("hidden", "ffn"),
    "input_layernorm": ("hidden",),
    "post_attention_layernorm": ("hidden",),
    "norm": ("hidden",),
}
NORMS = ("input_layernorm", "post_attention_layernorm", "norm")


@dataclass(frozen=True)
class Widths:
    """How many units a model has, or is to keep: key-value heads, feed-forward and hidden channels."""

    kv_heads: int
    ffn_channels: int
    hidden_channels: int


@dataclass(frozen=True)
class Units:
    """One number for each unit of a model with L layers: its importance, or which units are kept.

    Attributes:
        kv_heads: Shape [L, key-value heads].
        ffn_channels: Shape [L, feed-forward channels].
        hidden_channels: Shape [hidden channels].
    """

    kv_heads: torch.Tensor
    ffn_channels: torch.Tensor
    hidden_channels: torch.Tensor


def widths_of(config: PreTrainedConfig) -> Widths:
    """The widths of a model.

    Raises:
        ValueError: It is of a family that cannot be narrowed.
    """
    if config.model_type not in FAMILIES:
        raise ValueError(f"only {', '.join(FAMILIES)} can be narrowed, got {config.model_type}")
    return Widths(config.num_key_value_heads, config.intermediate_size, config.hidden_size)


@torch.no_grad()
def width_importance(model: PreTrainedModel, batches: Sequence[PackedBatch]) -> Units:
    """Importance of every unit: the L2 norm of its activation, mean over the tokens of a sample.

    Of a key-value head the activation is what its query heads pass to the output projection, of a
    feed-forward channel what it passes to the down projection, of a hidden channel what the RMSNorms put
    out, summed over all of them. Source: Muralidharan et al. 2024, "Compact Language Models via Pruning and
    Knowledge Distillation" (Minitron).

    Args:
        model: A decoder of one of `FAMILIES`.
        batches: A calibration sample; padding and the first token of a row do not count.
    """
    parts = [_batch_sums(model, batch) for batch in batches]
    tokens = sum(float(counted_tokens(batch).sum()) for batch in batches)
    heads, channels, hidden = (torch.stack(sums).sum(0) / tokens for sums in zip(*parts, strict=True))
    return Units(heads, channels, hidden)


def _batch_sums(model: PreTrainedModel, batch: PackedBatch) -> tuple[torch.Tensor, ...]:
    """Sums over a batch's tokens of the norms of all units, in the order of `Units`."""
    real, widths = counted_tokens(batch).unsqueeze(-1), widths_of(model.config)
    heads: list[torch.Tensor] = []
    channels: list[torch.Tensor] = []
    hidden: list[torch.Tensor] = []

    def note(sums: list[torch.Tensor], activation: torch.Tensor, units: int) -> None:
        sums.append((activation.float().unflatten(-1, (units, -1)).norm(dim=-1) * real).sum((0, 1)))

    def listen(module: Any, sums: list[torch.Tensor], units: int) -> Any:
        return module.register_forward_pre_hook(lambda _, args: note(sums, args[0], units))

    hooks = []
    for layer in model.model.layers:
        hooks.append(listen(layer.self_attn.o_proj, heads, widths.kv_heads))
        hooks.append(listen(layer.mlp.down_proj, channels, widths.ffn_channels))
    for name, norm in model.model.named_modules():
        if name.rpartition(".")[2] in NORMS:
            hooks.append(
                norm.register_forward_hook(lambda _, __, out: note(hidden, out, widths.hidden_channels))
            )
    try:
        model.model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask,
            position_ids=batch.position_ids,
            use_cache=False,
        )
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(heads), torch.stack(channels), torch.stack(hidden).sum(0)


def most_important(importance: Units, widths: Widths) -> Units:
    """Indices of the units of greatest importance, as many as `widths` says, in the model's order."""

    def best(values: torch.Tensor, count: int) -> torch.Tensor:
        ranked = values.argsort(dim=-1, descending=True, stable=True)
        return ranked[..., :count].sort(dim=-1).values

    return Units(
        best(importance.kv_heads, widths.kv_heads),
        best(importance.ffn_channels, widths.ffn_channels),
        best(importance.hidden_channels, widths.hidden_channels),
    )


def narrowed_config(config: PreTrainedConfig, widths: Widths) -> PreTrainedConfig:
    """The configuration of a narrower model; the size of a head stays, and is stated.

    Raises:
        ValueError: The model has fewer units, is of another family, or the hidden channels are no multiple of
            the query heads, which Llama's configuration demands.
    """
    whole = widths_of(config)
    for name, count in vars(widths).items():
        if count > getattr(whole, name):
            raise ValueError(f"{count} {name} of {getattr(whole, name)}")
    narrow = copy.deepcopy(config)
    narrow.head_dim = head_size(config)
    narrow.num_attention_heads = widths.kv_heads * (config.num_attention_heads // whole.kv_heads)
    narrow.num_key_value_heads = widths.kv_heads
    narrow.intermediate_size, narrow.hidden_size = widths.ffn_channels, widths.hidden_channels
    heads = narrow.num_attention_heads
    if narrow.hidden_size % heads:
        raise ValueError(f"{narrow.hidden_size} hidden_channels are no multiple of {heads} query heads")
    return narrow


def head_size(config: PreTrainedConfig) -> int:
    """Channels of one attention head."""
    stated: int | None = getattr(config, "head_dim", None)
    return stated or int(config.hidden_size // config.num_attention_heads)


def narrow(model: PreTrainedModel, kept: Units) -> PreTrainedModel:
    """A copy of the model with only these units.

    Args:
        model: A decoder of one of `FAMILIES`.
        kept: Indices of the units to keep, in rising order.

    Raises:
        ValueError: As `narrowed_config`.
    """
    widths = Widths(kept.kv_heads.shape[1], kept.ffn_channels.shape[1], len(kept.hidden_channels))
    config = narrowed_config(model.config, widths)
    growth = model.config.hidden_size / config.hidden_size
    config.rms_norm_eps = model.config.rms_norm_eps * growth
    weights = model.state_dict()
    grown = set(NORMS)
    if any(name.endswith("q_norm.weight") for name in weights):
        grown |= {"q_proj", "k_proj"}
    indices = [_indices(model.config, kept, layer) for layer in range(model.config.num_hidden_layers)]
    student: PreTrainedModel = type(model)(config)
    student.load_state_dict(
        {
            name: _sliced(name, tensor, indices) * (math.sqrt(growth) if _module(name) in grown else 1)
            for name, tensor in weights.items()
        }
    )
    return student


def _indices(config: PreTrainedConfig, kept: Units, layer: int) -> dict[str, torch.Tensor]:
    """Rows or columns kept in a layer's weights, by what they belong to."""
    size, shared = head_size(config), config.num_attention_heads // config.num_key_value_heads
    return {
        "keys": _spread(kept.kv_heads[layer], size),
        "queries": _spread(kept.kv_heads[layer], size * shared),
        "ffn": kept.ffn_channels[layer],
        "hidden": kept.hidden_channels,
    }


def _spread(units: torch.Tensor, size: int) -> torch.Tensor:
    """Indices of all channels of units of `size` channels each."""
    return (units[:, None] * size + torch.arange(size)).flatten()


def _module(name: str) -> str:
    """The layer that a weight is part of: `q_proj` of `model.layers.0.self_attn.q_proj.bias`."""
    return name.split(".")[-2]


def _sliced(name: str, tensor: torch.Tensor, indices: Sequence[dict[str, torch.Tensor]]) -> torch.Tensor:
    """The rows and columns of a weight that are kept."""
    # What belongs to no layer knows hidden channels only, and these are the same in all layers.
    kept = indices[int(name.split(".")[2]) if name.startswith("model.layers.") else 0]
    for axis, unit in enumerate(AXES[_module(name)][: tensor.dim()]):
        if unit in kept:
            tensor = tensor.index_select(axis, kept[unit])
    return tensor
