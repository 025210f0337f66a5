"""Make a student out of its teacher: keep the layers that matter and the embedding rows that are used."""

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from transformers import PreTrainedModel

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
        real = (batch.mask.squeeze(1).sum(-1) > 1).float()
        for layer, (before, after) in enumerate(pairwise(states)):
            cosine = torch.nn.functional.cosine_similarity(before.float(), after.float(), dim=-1)
            totals[layer] += ((1 - cosine) * real).sum()
        weight += float(real.sum())
    return [float(total) / weight for total in totals]


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
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers, config.vocab_size = len(layers), len(kept_ids)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in layers]
    new_id = {old: new for new, old in enumerate(kept_ids)}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, new_id.get(getattr(config, name)))
    student = type(teacher)(config)
    student.load_state_dict(_kept_weights(teacher, layers, kept_ids))
    return student


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
