"""Log-probability and entropy of given tokens without ever holding the logits of all of them.

A language-model head of V tokens makes V numbers of each hidden state, of which a policy gradient needs
two. Here they are made for a tile of states at a time, in memory that every tile uses again:

    z = h W^T / temperature        lse = log sum_v exp z_v        p = exp(z - lse)
    log p_y = z_y - lse            entropy = lse - sum_v p_v z_v

Where gradients are wanted, the same tile gives those of log p_y with respect to its hidden state,
(W_y - p W) / temperature, so that the backward pass needs no second projection: it multiplies by a number a
row. Only a head that is itself trained is projected again, for its own gradient.
"""

import threading
from typing import Any

import torch

from tasks.ml.batching import round_up

# Of a tile, fp32, 25 MB: smaller ones cost more in products of few columns than they save in traffic.
_TILE_NUMBERS = 6 << 20
_STEP = 16  # columns; between its multiples products take up to a quarter more time


def token_log_probs(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    target: torch.Tensor,
    temperature: float = 1.0,
    entropy_gradient: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of target tokens and entropies of their distributions, in fp32 nats.

    Products are computed in the dtype that autocast asks for, sums always in fp32.

    Args:
        hidden: States that predict the tokens. Shape [N, H].
        weight: Of the language-model head. Shape [V, H].
        target: Token ids. Shape [N].
        temperature: Logits are divided by it.
        entropy_gradient: Let gradients flow from the entropies too, at the price of one more projection.

    Returns:
        Two tensors of shape [N].
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    count = len(hidden)
    padding = round_up(count) - count
    hidden = torch.nn.functional.pad(hidden, (0, 0, 0, padding))
    target = torch.nn.functional.pad(target, (0, padding))
    log_probs, entropies = _TokenHead.apply(hidden, weight, target, temperature, entropy_gradient)  # type: ignore
    return log_probs[:count], entropies[:count]


class _TokenHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        target: torch.Tensor,
        temperature: float,
        entropy_gradient: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = len(hidden)
        wanted = (1 + entropy_gradient) * bool(ctx.needs_input_grad[0])
        log_probs, entropies = hidden.new_empty(2, count, dtype=torch.float32)
        slopes = [torch.empty_like(hidden) for _ in range(wanted)]
        for tile in tiles(count, len(weight)):
            shifted, mass, total = _masses(hidden[tile], weight, temperature)
            log_probs[tile] = shifted.gather(0, target[None, tile]).squeeze(0) - total.log()
            product = shifted.mul_(mass)
            entropies[tile] = total.log() - product.sum(0) / total
            scale = temperature * total
            if wanted:
                mean = (weight.T @ mass.to(weight.dtype) / scale).T
                slopes[0][tile] = weight[target[tile]] / temperature - mean
            if wanted > 1:
                # d entropy / dz_v = -p_v (log p_v + entropy)
                tilt = product.addcmul_(mass, entropies[tile] - total.log())
                slopes[1][tile] = -(weight.T @ tilt.to(weight.dtype) / scale).T
        ctx.temperature = temperature
        ctx.save_for_backward(hidden, weight, target, entropies, *slopes)
        if not entropy_gradient:
            ctx.mark_non_differentiable(entropies)
        return log_probs, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, target, entropies, *slopes = ctx.saved_tensors
        of_hidden = of_weight = None
        if slopes:
            pairs = zip(gradients, slopes, strict=False)
            of_hidden = sum(gradient[:, None].to(slope.dtype) * slope for gradient, slope in pairs)
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros(weight.shape)
            for tile in tiles(len(hidden), len(weight)):
                shifted, mass, total = _masses(hidden[tile], weight, ctx.temperature)
                of_log_prob, of_entropy = (gradient[None, tile] for gradient in gradients)
                surplus = shifted.add_(entropies[tile] - total.log())
                of_logits = surplus.mul_(of_entropy).add_(of_log_prob).mul_(mass).div_(-total)
                of_logits.scatter_add_(0, target[None, tile], of_log_prob)
                of_weight += of_logits.to(hidden.dtype) @ hidden[tile]
            of_weight = (of_weight / ctx.temperature).to(weight.dtype)
        return of_hidden, of_weight, None, None, None


class _Scratch(threading.local):
    """Two tables of fp32 numbers, kept from tile to tile: to fill new memory takes longer than to compute."""

    def __init__(self) -> None:
        self.tables = torch.empty(2, 0)

    def take(self, vocabulary: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Both tables, with whatever stands in them. Shapes [V, columns]."""
        size = vocabulary * columns
        if self.tables.shape[1] < size:
            with torch.inference_mode(False):  # a table made in that mode could not be used outside
                self.tables = torch.empty(2, size)
        first, second = self.tables[:, :size].view(2, vocabulary, columns)
        return first, second


_SCRATCH = _Scratch()


def tiles(count: int, vocabulary: int) -> list[slice]:
    """Cut `count` states into tiles whose logits fit the tables that are kept."""
    columns = max(1, _TILE_NUMBERS // vocabulary // _STEP) * _STEP
    return [slice(start, min(start + columns, count)) for start in range(0, count, columns)]


def column_logits(
    hidden: torch.Tensor, weight: torch.Tensor, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of a tile: z less its largest, and a table of the same shape to write into. Shapes [V, t]; fp32.

    One state a column: with the larger factor on the left the products take a quarter less time. What is
    given back is overwritten by the next call.
    """
    logits, spare = _SCRATCH.take(len(weight), len(hidden))
    is_fp32 = weight.dtype == logits.dtype
    product = logits if is_fp32 else spare.flatten().view(weight.dtype)[: spare.numel()].view_as(spare)
    torch.mm(weight, hidden.T.contiguous(), out=product)
    if not is_fp32:
        logits.copy_(product)
    if temperature != 1:
        logits /= temperature
    logits -= logits.amax(0)
    return logits, spare


def _masses(
    hidden: torch.Tensor, weight: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a tile: z less its largest, e to the power of that, its sum. Shapes [V, t], [V, t], [t]; fp32."""
    logits, mass = column_logits(hidden, weight, temperature)
    torch.exp(logits, out=mass)
    return logits, mass, mass.sum(0)
