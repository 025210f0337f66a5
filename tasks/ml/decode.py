"""Batched decoding: the prefix of each group is read once, and finished rows leave the batch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel

from tasks.ml.batching import Branch, Group, common_prefix, group_examples
from tasks.ml.progress import Bar, NoBar
from tasks.ml.prompts import Example
from tasks.ml.seeding import torch_generator


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        max_new_tokens: Most tokens of a response, the stop token included.
        stop: Id of the stop token.
        pad: Id of the padding token.
        temperature: 0 is greedy; otherwise logits are divided by it and sampled.
        seed: Seed of the noise.
        rows: Most responses decoded side by side.
    """

    max_new_tokens: int
    stop: int
    pad: int
    temperature: float = 0.0
    seed: int = 0
    rows: int = 64


@dataclass
class Stopwatch:
    """Seconds spent reading prompts and seconds spent on one token after another."""

    prefill: float = 0.0
    steps: float = 0.0


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[str],
    sampling: Sampling,
    bar: Bar | None = None,
    stopwatch: Stopwatch | None = None,
) -> list[tuple[int, ...]]:
    """Continue each prompt until the stop token or the length limit.

    What all prompts of a batch begin with is read once, what prompts with the same key share once a key.

    Args:
        model: A causal language model.
        prompts: Token ids, none empty.
        keys: Prompts with equal keys share a prefix that is read once.
        sampling: How tokens are chosen.
        bar: Shown progress, one step a response.
        stopwatch: Takes the seconds.

    Returns:
        The response of each prompt, with its stop token where it came.
    """
    bar, stopwatch = bar or NoBar(), stopwatch or Stopwatch()
    groups = group_examples([Example(tuple(prompt)) for prompt in prompts], list(keys), longest=10**9)
    responses: list[tuple[int, ...]] = [()] * len(prompts)
    for number, chunk in enumerate(_chunks(groups, sampling.rows)):
        noise = torch_generator("decode", sampling.seed, number)
        for index, response in _decode_chunk(model, chunk, sampling, noise, stopwatch).items():
            responses[index] = response
        bar.advance(sum(len(group.branches) for group in chunk))
    return responses


def stopped(response: Sequence[int], stop: int) -> bool:
    """Whether a response ended with the stop token."""
    return bool(response) and response[-1] == stop


def _chunks(groups: Sequence[Group], rows: int) -> list[list[Group]]:
    """Groups in chunks of at most `rows` branches; a larger group is cut."""
    pieces = [
        Group(group.prefix, group.branches[start : start + rows])
        for group in groups
        for start in range(0, len(group.branches), rows)
    ]
    chunks: list[list[Group]] = [[]]
    for piece in pieces:
        if sum(len(group.branches) for group in chunks[-1]) + len(piece.branches) > rows:
            chunks.append([])
        chunks[-1].append(piece)
    return [chunk for chunk in chunks if chunk]


def _decode_chunk(
    model: PreTrainedModel,
    groups: Sequence[Group],
    sampling: Sampling,
    noise: torch.Generator,
    stopwatch: Stopwatch,
) -> dict[int, tuple[int, ...]]:
    branches = [branch for group in groups for branch in group.branches]
    started = time.perf_counter()
    logits, cache, visible, positions = _prefill(model, groups, branches, sampling.pad)
    read = time.perf_counter()
    stopwatch.prefill += read - started
    responses: list[list[int]] = [[] for _ in branches]
    alive = torch.arange(len(branches))
    for _ in range(sampling.max_new_tokens):
        tokens = _choose(logits, sampling.temperature, noise)
        for row, token in zip(alive.tolist(), tokens.tolist(), strict=True):
            responses[row].append(token)
        going = torch.tensor([responses[row][-1] != sampling.stop for row in alive.tolist()])
        going &= torch.tensor([len(responses[row]) < sampling.max_new_tokens for row in alive.tolist()])
        if not going.any():
            break
        if not going.all():
            keep = going.nonzero().flatten()
            cache.batch_select_indices(keep)
            alive, tokens, visible, positions = (x[keep] for x in (alive, tokens, visible, positions))
        positions = positions + 1
        visible = torch.cat([visible, torch.ones(len(alive), 1, dtype=torch.bool)], dim=1)
        logits = _step(model, tokens[:, None], positions[:, None], visible[:, None, None], cache)
    stopwatch.steps += time.perf_counter() - read
    return {branch.index: tuple(response) for branch, response in zip(branches, responses, strict=True)}


def _prefill(
    model: PreTrainedModel, groups: Sequence[Group], branches: Sequence[Branch], pad: int
) -> tuple[torch.Tensor, DynamicCache, torch.Tensor, torch.Tensor]:
    """Read what all share once, what a group shares once a group, and the tails.

    Returns:
        Logits of the next token [B, V], the cache, the visible columns [B, S], the last position [B].
    """
    cache = DynamicCache(config=model.config)
    prefixes = [group.prefix for group in groups]
    shared = common_prefix(prefixes) if all(prefixes) else 0
    of_all = torch.zeros(len(groups), dtype=torch.long)
    of_group = torch.tensor([row for row, group in enumerate(groups) for _ in group.branches])
    visible = torch.zeros(1, 0, dtype=torch.bool)
    _, visible, _ = _extend(model, cache, [prefixes[0][:shared]], visible, pad)
    visible = _expand(cache, visible, of_all)
    _, visible, _ = _extend(model, cache, [prefix[shared:] for prefix in prefixes], visible, pad)
    visible = _expand(cache, visible, of_group)
    logits, visible, last = _extend(model, cache, [branch.tail for branch in branches], visible, pad)
    return logits, cache, visible, last


def _expand(cache: DynamicCache, visible: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Give each row of `owner` a copy of its owner's cache."""
    if visible.shape[1]:
        cache.batch_select_indices(owner)
    return visible[owner]


def _extend(
    model: PreTrainedModel,
    cache: DynamicCache,
    sequences: Sequence[Sequence[int]],
    visible: torch.Tensor,
    pad: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Feed one more piece of every row, padded at the left, after what its cache holds.

    Returns:
        Logits after the last token [B, V], the visible columns [B, S], the last position [B].
    """
    ids, real = _pad_left(sequences, pad)
    width = ids.shape[1]
    positions = _positions(real) + visible.sum(1, keepdim=True)
    if not width:
        return torch.empty(len(ids), 0), visible, visible.sum(1) - 1
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    own = (causal & real[:, None, :]) | torch.eye(width, dtype=torch.bool)
    mask = torch.cat([visible[:, None, :].expand(-1, width, -1), own], dim=2)
    logits = _step(model, ids, positions, mask[:, None], cache)
    return logits, torch.cat([visible, real], dim=1), positions[:, -1]


def _step(
    model: PreTrainedModel,
    ids: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor,
    cache: DynamicCache,
) -> torch.Tensor:
    """Feed tokens and return fp32 logits of the token after the last one, shape [B, V]."""
    hidden = model.model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return model.lm_head(hidden[:, -1]).float()  # type: ignore[no-any-return]


def _choose(logits: torch.Tensor, temperature: float, noise: torch.Generator) -> torch.Tensor:
    """Greedy choice, or a sample by the Gumbel-max trick: argmax(z / T - log(-log u))."""
    if temperature == 0:
        return logits.argmax(-1)
    uniform = torch.rand(logits.shape, generator=noise).clamp_(1e-10, 1 - 1e-7)
    return (logits / temperature - (-uniform.log()).log()).argmax(-1)


def _pad_left(sequences: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), width), pad)
    real = torch.zeros(len(sequences), width, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        if sequence:
            ids[row, width - len(sequence) :] = torch.tensor(sequence)
            real[row, width - len(sequence) :] = True
    return ids, real


def _positions(real: torch.Tensor) -> torch.Tensor:
    return (real.long().cumsum(1) - 1).clamp(min=0)
