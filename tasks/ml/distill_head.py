"""The distillation loss and its gradients straight from hidden states, a tile of them at a time.

A head of V tokens makes V numbers of each hidden state. The loss needs few of them: the log-probability of
the gold token, those of the teacher's K tokens, and the mass of all others:

    z = W h        p = softmax(z)        q = softmax(z / T)
    gold = log p_y        class_k = log q_k        tail = log sum_{v not kept} q_v

The caller's function makes a loss of these K + 2 numbers a row, and torch derives its gradients g with
respect to them. Those of the logits follow in closed form, so that two more products give the gradients of
states and weights: three in all, and no table of [N, V] numbers.

    dL/dz_v = g_gold (1[v = y] - p_v)
            + (1 / T) (g_v if v is kept else g_tail q_v / e^tail)
            - (1 / T) (sum_k g_k + g_tail) q_v
"""

from collections.abc import Callable
from typing import Any

import torch

from tasks.ml.batching import round_up
from tasks.ml.token_head import column_logits, tiles

# gold [t], classes with the tail last [t, K + 1], which rows these are -> loss [t]
LossOfRows = Callable[[torch.Tensor, torch.Tensor, slice], torch.Tensor]
_LEAST = 1e-30


def distill_head(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    target: torch.Tensor,
    ids: torch.Tensor,
    temperature: float,
    loss_of: LossOfRows,
) -> torch.Tensor:
    """Sum of the rows' losses in nats, with gradients for states and weights.

    Args:
        hidden: States that predict the tokens. Shape [N, H].
        weight: Of the language-model head. Shape [V, H].
        target: Gold token ids. Shape [N].
        ids: The teacher's tokens in the student's ids, -1 where the student has none. Shape [N, K].
        temperature: T; the gold token is looked at without it.
        loss_of: Called with the gold token's log-probabilities, those of the classes (-inf for unknown
            tokens) and which of the N rows they are of.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    count = len(hidden)
    padding = round_up(count) - count
    hidden = torch.nn.functional.pad(hidden, (0, 0, 0, padding))
    target = torch.nn.functional.pad(target, (0, padding))
    ids = torch.nn.functional.pad(ids, (0, 0, 0, padding), value=-1)
    tokens = (target, ids, count)
    total: torch.Tensor = _DistillHead.apply(hidden, weight, tokens, temperature, loss_of)  # type: ignore[no-untyped-call]
    return total


class _DistillHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        tokens: tuple[torch.Tensor, torch.Tensor, int],
        temperature: float,
        loss_of: LossOfRows,
    ) -> torch.Tensor:
        target, ids, count = tokens
        wanted = any(ctx.needs_input_grad)
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros(weight.shape) if ctx.needs_input_grad[1] else None
        total = torch.zeros(())
        for tile in tiles(len(hidden), len(weight)):
            columns = _Columns(hidden[tile], weight, target[tile], ids[tile], temperature)
            rows = slice(min(tile.start, count), min(tile.stop, count))  # none where all of it is padding
            loss, slopes = _loss_and_slopes(columns, loss_of, rows, wanted)
            total += loss
            if slopes is None:
                continue
            of_logits = columns.gradient(*slopes).to(weight.dtype)
            if of_hidden is not None:
                of_hidden[tile] = (weight.T @ of_logits).T
            if of_weight is not None:
                of_weight += of_logits @ hidden[tile]
        ctx.save_for_backward(of_hidden, of_weight)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        of_hidden, of_weight = ctx.saved_tensors
        [scale] = gradients
        if of_hidden is not None:
            of_hidden = of_hidden * scale.to(of_hidden.dtype)
        if of_weight is not None:
            of_weight = (of_weight * scale).to(ctx.dtype)
        return of_hidden, of_weight, None, None, None


def _loss_and_slopes(
    columns: "_Columns", loss_of: LossOfRows, rows: slice, wanted: bool
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor] | None]:
    """The tile's loss, and its gradients with respect to gold [t] and classes [t, K + 1].

    Columns beyond the rows pad the tile; their gradients are 0.
    """
    count = rows.stop - rows.start
    gold, classes = columns.gold, columns.classes
    if not wanted:
        return loss_of(gold[:count], classes[:count], rows).sum(), None
    with torch.enable_grad():
        gold, classes = gold.detach().requires_grad_(), classes.detach().requires_grad_()
        loss = loss_of(gold[:count], classes[:count], rows).sum()
        of_gold, of_classes = torch.autograd.grad(loss, (gold, classes), materialize_grads=True)
    return loss.detach(), (of_gold, of_classes)


class _Columns:
    """Logits of a tile, one state a column, and what the loss needs of them.

    Attributes:
        gold: log p_y. Shape [t].
        classes: log q of the kept tokens and the tail; -inf for unknown tokens. Shape [t, K + 1].
    """

    def __init__(
        self,
        states: torch.Tensor,
        weight: torch.Tensor,
        target: torch.Tensor,
        ids: torch.Tensor,
        temperature: float,
    ) -> None:
        self.target, self.temperature = target[None], temperature
        self.known, self.ids = (ids >= 0).T, ids.clamp(min=0).T
        shifted, self.mass = column_logits(states, weight)
        torch.exp(shifted, out=self.mass)
        total = self.mass.sum(0)
        self.gold = shifted.gather(0, self.target).squeeze(0) - total.log()
        kept = shifted.gather(0, self.ids) / temperature
        self.plain = None
        if temperature != 1:
            self.plain = self.mass / total
            torch.exp(shifted.div_(temperature), out=self.mass)
        # Unknown tokens stand at 0 and take nothing away; x - x is exactly 0, which makes the tail exact.
        self.kept_mass = torch.where(self.known, self.mass.gather(0, self.ids), 0.0)
        self.mass.scatter_add_(0, self.ids, -self.kept_mass)
        self.tail = self.mass.sum(0).clamp(min=_LEAST)
        self.all = self.tail + self.kept_mass.sum(0)
        log_all = self.all.log()
        kept = torch.where(self.known, kept - log_all, -torch.inf)
        self.classes = torch.cat([kept, (self.tail.log() - log_all)[None]]).T

    def gradient(self, of_gold: torch.Tensor, of_classes: torch.Tensor) -> torch.Tensor:
        """dL/dz; what the tables held is overwritten. Shape [V, t]."""
        of_kept, of_tail = torch.where(self.known, of_classes[:, :-1].T, 0.0), of_classes[:, -1]
        pull = (of_kept.sum(0) + of_tail) / (self.all * self.temperature)
        if self.plain is None:
            pull = pull + of_gold / self.all
        out = self.mass.mul_(of_tail / (self.tail * self.temperature) - pull)
        out.scatter_add_(
            0, self.ids, torch.where(self.known, of_kept / self.temperature - pull * self.kept_mass, 0.0)
        )
        if self.plain is not None:
            out.sub_(self.plain.mul_(of_gold))
        return out.scatter_add_(0, self.target, of_gold[None])
