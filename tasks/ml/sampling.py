"""How the next token is chosen, from noise that belongs to a response and not to the batch that it is in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tasks.ml.seeding import stable_hash


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        max_new_tokens: Most tokens of a response, the stop token included.
        stop: Id of the stop token.
        pad: Id of the padding token.
        temperature: 0 is greedy; otherwise logits are divided by it and sampled.
        top_k: Only so many of the most probable tokens are drawn from; 0: all.
        top_p: Only the most probable tokens that together hold this mass are drawn from.
        seed: Seed of the noise.
        rows: Most responses decoded side by side.
    """

    max_new_tokens: int
    stop: int
    pad: int
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    rows: int = 64


@dataclass(frozen=True)
class Chosen:
    """One token for each of A rows, under the tempered distribution before top-k and top-p cut it.

    Attributes:
        tokens: Shape [A].
        log_probs: Of the tokens, in nats. Shape [A].
        entropies: Of the distribution, in nats. Shape [A].
    """

    tokens: torch.Tensor
    log_probs: torch.Tensor
    entropies: torch.Tensor


def noise(seed: int, streams: Sequence[int], steps: int) -> torch.Tensor:
    """One uniform number in [0, 1) for each token of each stream. Shape [len(streams), steps].

    Philox is a counter-based generator (Salmon et al. 2011): number t of a stream depends on the seed, the
    stream and t alone, so a response is the same whatever is decoded beside it, before it or on which
    machine.
    """
    table = np.empty((len(streams), steps), dtype=np.float32)
    for row, stream in enumerate(streams):
        key = np.array([stable_hash("noise", seed), stream], dtype=np.uint64)
        table[row] = np.random.Generator(np.random.Philox(key=key)).random(steps, dtype=np.float32)
    return torch.from_numpy(table)


def choose(logits: torch.Tensor, uniform: torch.Tensor, sampling: Sampling) -> Chosen:
    """Choose a token for each row.

    A sample is drawn by inverting the cumulative distribution at `uniform`: one random number a token, where
    the Gumbel-max trick asks for one of every token of the vocabulary.

    Args:
        logits: Shape [A, V], fp32.
        uniform: Numbers in [0, 1), not looked at if greedy. Shape [A].
        sampling: How.
    """
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
    elif sampling.temperature != 1:
        logits = logits / sampling.temperature
    shifted = logits - logits.amax(-1, keepdim=True)
    mass = shifted.exp()
    total = mass.sum(-1)
    if sampling.temperature > 0:
        tokens = _invert(_cut(mass, sampling), uniform)
    log_probs = shifted.gather(1, tokens[:, None]).squeeze(1) - total.log()
    return Chosen(tokens, log_probs, total.log() - torch.linalg.vecdot(mass, shifted) / total)


def _cut(mass: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Set the mass of tokens outside top-k, then outside top-p, to 0; ties at the border stay."""
    if 0 < sampling.top_k < mass.shape[1]:
        border = mass.topk(sampling.top_k, dim=-1).values[:, -1:]
        mass = mass.where(mass >= border, 0.0)
    if sampling.top_p < 1:
        ordered = mass.sort(dim=-1, descending=True).values
        before = ordered.cumsum(-1) - ordered
        inside = before < sampling.top_p * ordered.sum(-1, keepdim=True)
        border = ordered.where(inside, torch.inf).amin(-1, keepdim=True)
        mass = mass.where(mass >= border, 0.0)
    return mass


def _invert(mass: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    cumulative = mass.cumsum(-1)
    # A product with a number below 1 stays below the total, so a token without mass is never drawn.
    return torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:], right=True).squeeze(1)
