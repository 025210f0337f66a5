"""Make a student out of its teacher: keep the layers that matter and the embedding rows that are used."""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from tasks.ml.batching import PackedBatch


@torch.no_grad()
def block_influence(model: PreTrainedModel, batches: Sequence[PackedBatch]) -> list[float]:
    """How much each layer changes its input: 1 - cos(input, output), averaged over tokens.

    Source: Men et al. 2024, "ShortGPT", eq. 1. A layer whose output points where its input pointed can go.
    Padding and the first token of a row, which see nothing but themselves, do not count.

    Args:
        model: A decoder with `model.layers`.
        batches: A calibration sample.

    Returns:
        One number a layer, in the model's order.
    """
    totals = torch.zeros(model.config.num_hidden_layers)
    weight = 0.0
    for batch in batches:
        states = _layer_states(model, batch)
        real = counted_tokens(batch)
        for layer, (before, after) in enumerate(pairwise(states)):
            cosine = torch.nn.functional.cosine_similarity(before.float(), after.float(), dim=-1)
            totals[layer] += ((1 - cosine) * real).sum()
        weight += float(real.sum())
    return [float(total) / weight for total in totals]


@torch.no_grad()
def block_distances(model: PreTrainedModel, batches: Sequence[PackedBatch], size: int) -> list[float]:
    """How far each block of `size` layers turns its input: arccos(cos(input, output)) / pi.

    Source: Gromov et al. 2024, "The Unreasonable Ineffectiveness of the Deeper Layers"; there of the last
    token of a text, here the mean over all tokens that `block_influence` counts.

    Args:
        model: A decoder with `model.layers`.
        batches: A calibration sample.
        size: Layers in a block.

    Returns:
        One number from 0 to 1 for each block, by its first layer.
    """
    totals = torch.zeros(model.config.num_hidden_layers - size + 1, dtype=torch.double)
    weight = 0.0
    for batch in batches:
        states = _layer_states(model, batch)
        real = counted_tokens(batch)
        for first in range(len(totals)):
            # Where the cosine is near 1, the angle has half the digits of it.
            before, after = states[first].double(), states[first + size].double()
            cosine = torch.nn.functional.cosine_similarity(before, after, dim=-1).clamp(-1, 1)
            totals[first] += (cosine.arccos() / math.pi * real).sum()
        weight += float(real.sum())
    return [float(total) / weight for total in totals]


def counted_tokens(batch: PackedBatch) -> torch.Tensor:
    """1 for tokens that importance is measured on, 0 for padding and the first of a row. Shape [R, T]."""
    return (batch.mask.squeeze(1).sum(-1) > 1).float()


def _layer_states(model: PreTrainedModel, batch: PackedBatch) -> list[torch.Tensor]:
    """What goes into each layer and, at last, what comes out of the last one. Shapes [R, T, H]."""
    last: list[torch.Tensor] = []
    # The model's own list ends behind the final norm, which is none of the last layer's doing.
    hook = model.model.norm.register_forward_pre_hook(lambda _, args: last.append(args[0]))
    try:
        states = model.model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask,
            position_ids=batch.position_ids,
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
    finally:
        hook.remove()
    return [*states[:-1], *last]


def most_influential(influence: Sequence[float], count: int) -> list[int]:
    """Indices of the `count` layers of greatest influence, in the model's order."""
    ranked = sorted(range(len(influence)), key=lambda layer: influence[layer], reverse=True)
    return sorted(ranked[:count])


def without_block(distances: Sequence[float], layers: int) -> list[int]:
    """Indices of the layers that stay when the block of the smallest distance goes.

    Args:
        distances: What `block_distances` gave.
        layers: Layers of the model.
    """
    size = layers - len(distances) + 1
    first = min(range(len(distances)), key=lambda block: distances[block])
    return [layer for layer in range(layers) if not first <= layer < first + size]


def evenly_spaced(layers: int, count: int) -> list[int]:
    """Indices of `count` of the layers, spaced evenly, first and last among them; of one, the first."""
    if count == 1:
        return [0]
    # Rounded half up in whole numbers, so that no two are the same.
    return [(2 * place * (layers - 1) + count - 1) // (2 * (count - 1)) for place in range(count)]


def prune(teacher: PreTrainedModel, layers: Sequence[int], kept_ids: Sequence[int]) -> PreTrainedModel:
    """A copy of the teacher with only these layers and these rows of its tied embedding.

    Args:
        teacher: A causal language model with `model.layers` and tied embeddings.
        layers: Indices of the layers to keep.
        kept_ids: Teacher's token ids, one for each id of the student.

    Raises:
        ValueError: The teacher's embeddings are not tied.
    """
    if not teacher.config.tie_word_embeddings:
        raise ValueError("only models with tied embeddings can be pruned")
    student: PreTrainedModel = type(teacher)(pruned_config(teacher.config, layers, kept_ids))
    student.load_state_dict(_kept_weights(teacher, layers, kept_ids))
    return student


def pruned_config(
    config: PreTrainedConfig, layers: Sequence[int], kept_ids: Sequence[int]
) -> PreTrainedConfig:
    """The configuration of a model with only these layers and these token ids.

    Special tokens that are not kept are forgotten.
    """
    pruned = copy.deepcopy(config)
    pruned.num_hidden_layers, pruned.vocab_size = len(layers), len(kept_ids)
    if getattr(pruned, "layer_types", None):
        pruned.layer_types = [config.layer_types[layer] for layer in layers]
    new_id = {old: new for new, old in enumerate(kept_ids)}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        old = getattr(config, name)
        # Some models stop at any of several tokens.
        several = [new_id[token] for token in old if token in new_id] if isinstance(old, list) else None
        setattr(pruned, name, new_id.get(old) if several is None else several or None)
    return pruned


def _kept_weights(
    teacher: PreTrainedModel, layers: Sequence[int], kept_ids: Sequence[int]
) -> dict[str, torch.Tensor]:
    rows = torch.tensor(kept_ids)
    weights = {}
    for name, tensor in teacher.state_dict().items():
        if name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            if int(layer) in layers:
                weights[f"model.layers.{list(layers).index(int(layer))}.{rest}"] = tensor.clone()
        elif name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = tensor[rows].clone()
        else:
            weights[name] = tensor.clone()
    return weights
