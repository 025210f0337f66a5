"""The formulas of PPO on token sequences; every tensor is padded to [S, T] with a mask of real tokens.

S sampled responses, T the longest of them. Log-probabilities and KL in nats. Sources: Schulman et al. 2016
(GAE), Schulman et al. 2017 (PPO), Ziegler et al. 2019 (KL in the reward), Huang et al. 2024 (details).
"""

from typing import Literal

import torch

KLEstimator = Literal["k1", "k2", "k3"]


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the real tokens."""
    return (values * mask).sum() / mask.sum()


def whiten(values: torch.Tensor, mask: torch.Tensor, keep_mean: bool = False) -> torch.Tensor:
    """Scale to variance 1 over the real tokens, and shift to mean 0 unless the mean is kept.

    Padding becomes 0. Rewards keep their mean, since its sign says whether a response is good; advantages
    do not. Huang et al. 2024, details 17 and 18.
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    return ((values - mean) * torch.rsqrt(variance + 1e-8) + keep_mean * mean) * mask


def kl_estimate(log_ratio: torch.Tensor, estimator: KLEstimator) -> torch.Tensor:
    """Estimate KL(p || q) from tokens sampled from p, token by token, in nats.

    With d = log p - log q: k1 = d is unbiased, k2 = d^2 / 2 is biased and never negative, k3 = exp(-d) - 1
    + d is both unbiased and never negative. Schulman 2020, "Approximating KL divergence".

    Args:
        log_ratio: d of the sampled tokens. Any shape.
        estimator: Which.
    """
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return 0.5 * log_ratio**2
    return (-log_ratio).exp() - 1 + log_ratio


def shaped_rewards(
    scores: torch.Tensor, kl: torch.Tensor, mask: torch.Tensor, kl_coefficient: float
) -> torch.Tensor:
    """r_t = -c KL_t, plus the score at the last token. Ziegler et al. 2019, eq. 2.

    Args:
        scores: Reward of each response. Shape [S].
        kl: Estimate of each sampled token, policy to reference, in nats. Shape [S, T].
        mask: Real tokens, every response at least one. Shape [S, T].
        kl_coefficient: c.

    Returns:
        Shape [S, T]; 0 on padding.
    """
    rewards = -kl_coefficient * kl * mask
    last = mask.long().sum(1) - 1
    return rewards.index_put((torch.arange(len(scores)), last), scores, accumulate=True)


def advantages(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, discount: float, gae_lambda: float
) -> torch.Tensor:
    """A_t = d_t + g l A_{t+1} with d_t = r_t + g V_{t+1} - V_t; beyond the end V and A are 0.

    Source: Schulman et al. 2016, eq. 16.

    Returns:
        Shape [S, T]; 0 on padding.
    """
    values = values * mask
    result = torch.zeros_like(rewards)
    running = torch.zeros(len(rewards))
    following = torch.zeros(len(rewards))
    for step in reversed(range(rewards.shape[1])):
        delta = rewards[:, step] + discount * following - values[:, step]
        running = (delta + discount * gae_lambda * running) * mask[:, step]
        following = values[:, step]
        result[:, step] = running
    return result


def policy_loss(
    log_probs: torch.Tensor, old: torch.Tensor, advantage: torch.Tensor, clip_range: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """-min(w A, clip(w, 1 - e, 1 + e) A) with w = exp(log p - log p_old). Schulman et al. 2017, eq. 7.

    Args:
        log_probs: Of the sampled tokens now. Shape [N].
        old: Likewise when they were sampled. Shape [N].
        advantage: Shape [N].
        clip_range: e.

    Returns:
        The loss of each token, and whether the clip decided it. Shapes [N].
    """
    ratio = (log_probs - old).exp()
    plain = ratio * advantage
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range) * advantage
    return -torch.minimum(plain, clipped), clipped < plain


def value_loss(
    values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip_range: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """0.5 max((V - R)^2, (clip(V, V_old - e, V_old + e) - R)^2).

    Source: the PPO2 code of OpenAI baselines, as in Huang et al. 2024, detail 20.

    Returns:
        The loss of each token, and whether the clip decided it. Shapes [N].
    """
    plain = (values - returns) ** 2
    change = values - old
    clipped = (old + change.clamp(-clip_range, clip_range) - returns) ** 2
    # Within the range the two differ by rounding, which decides nothing.
    decided = (clipped > plain) & (change.abs() > clip_range)
    return 0.5 * torch.maximum(plain, clipped), decided
