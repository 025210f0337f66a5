"""The likelihood of rankings with ties, in nats: Plackett and Luce's model with Rao and Kupper's threshold.

A ranking is a sequence of picks: from the answers that are left, the set that stands on the next rank. At
each pick the answers of the set S are perceived at r plus Gumbel noise. The best of them is picked, and with
it all that seem less than a threshold eta below it. In a race of exponential clocks with rates p = exp(r),
that are all that ring before theta = exp(eta) times the time of the first:

    P(T from S) = sum over i in T of  int p_i exp(-p_i t)  prod over j in T, not i, of
                  (exp(-p_j t) - exp(-theta p_j t))  prod over k in S, not T, of exp(-theta p_k t)  dt

With eta = 0 this is Plackett 1975 and Luce 1959, p_i / sum of p in S. Of two answers it is Rao and Kupper
1967, see `reward_loss`. Each pick is perceived anew, as in Plackett's model, so a ranking is the product of
its picks. Answers marked F are never picked: they stand in S until the end, in no order among themselves.
"""

import math
from collections.abc import Sequence

import torch

_NEVER = -1e9  # a logarithm of 0 whose gradient is 0, not NaN
_STEP = 0.3  # of the trapezoid rule over log t; relative error 1e-12 for two that tie, 2e-8 for nine
_FROM, _TO = -22.0, 4.5  # where the integrand begins and ends; beyond it is below 1e-9 of the whole
_SMALL = -14.0  # below this logarithm, 1 - exp(-a) is a


def pick_losses(scores: torch.Tensor, sizes: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """-log P(T from S) of each pick.

    Args:
        scores: Scores of the answers in S, those in T first, padded with -inf. Shape [C, K, N].
        sizes: |T|. Shape [C].
        threshold: eta, in units of score; above 0 if any size is above 1.

    Returns:
        Shape [C, N].
    """
    scores = scores.clamp_min(_NEVER)
    is_picked = (torch.arange(scores.shape[1]) < sizes[:, None])[..., None]
    picked = scores.masked_fill(~is_picked, _NEVER)
    others = scores.masked_fill(is_picked, _NEVER).logsumexp(1)
    total = torch.logaddexp(picked.logsumexp(1), others + threshold)
    losses = total - scores[:, 0]
    tied = sizes > 1
    if tied.any():
        losses = losses.index_put((tied,), _tie_losses(picked[tied], is_picked[tied], total[tied], threshold))
    return losses


def _tie_losses(
    picked: torch.Tensor, is_picked: torch.Tensor, total: torch.Tensor, threshold: torch.Tensor
) -> torch.Tensor:
    """-log of the integral, over x = log(t sum of rates), by the trapezoid rule; all terms are positive.

    Args:
        picked: Scores of the answers in T. Shape [C, K, N].
        is_picked: Which they are. Shape [C, K, 1].
        total: Logarithm of the sum of rates, those outside T times theta. Shape [C, N].
        threshold: eta.
    """
    x = torch.arange(_FROM, _TO, _STEP, dtype=picked.dtype)
    relative = picked - total[:, None]
    rung = _log_1_minus_exp(relative[..., None] + torch.expm1(threshold).log() + x)
    inside = is_picked[..., None]
    first = (relative[..., None] - rung).masked_fill(~inside, _NEVER).logsumexp(1)
    integrand = rung.masked_fill(~inside, 0).sum(1) + first + x - x.exp()
    return -integrand.logsumexp(-1) - math.log(_STEP)


def _log_1_minus_exp(log_a: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(-a)) of log a."""
    return torch.where(log_a < _SMALL, log_a, (-torch.expm1(-log_a.clamp_min(_SMALL).exp())).log())


def start_threshold(left: Sequence[int], sizes: Sequence[int], votes: Sequence[float]) -> float:
    """The threshold at which picks are most likely while all answers score the same; 0 if none is a tie.

    Args:
        left: Number of answers to pick from, one a pick.
        sizes: Number of answers picked.
        votes: Weight of each pick.
    """
    counts: dict[tuple[int, int], float] = {}
    for pool, size, vote in zip(left, sizes, votes, strict=True):
        counts[pool, size] = counts.get((pool, size), 0.0) + vote
    if all(size == 1 for _, size in counts):
        return 0.0
    scores = torch.full((len(counts), max(pool for pool, _ in counts), 1), -torch.inf, dtype=torch.float64)
    for row, (pool, _) in enumerate(counts):
        scores[row, :pool] = 0
    picked = torch.tensor([size for _, size in counts])
    weights = torch.tensor(list(counts.values()), dtype=torch.float64)

    def loss(log_threshold: float) -> float:
        threshold = torch.tensor(log_threshold, dtype=torch.float64).exp()
        return float((pick_losses(scores, picked, threshold)[:, 0] * weights).sum())

    # A ternary search; where nothing but ties was said, it ends at its upper bound.
    low, high = math.log(1e-4), math.log(8.0)
    for _ in range(60):
        one, other = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, other) if loss(one) < loss(other) else (one, high)
    return math.exp((low + high) / 2)
