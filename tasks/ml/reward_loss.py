"""Losses on the scores of answers, in nats: Bradley-Terry, Rao-Kupper for ties, the floor of F answers.

A score is a log-strength: Bradley and Terry give the answer i a strength p_i = exp(r_i). Rao and Kupper's is
the house's model of ties, not Davidson's: people tie what they can hardly tell apart, and of such people
Davidson's gaps come out too large, as do those without ties (`benchmarks.reward_ties`).
"""

import torch


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(r_chosen - r_rejected), weighted mean over pairs.

    Source: Bradley and Terry 1952; as a loss for reward models Stiennon et al. 2020, section 3.4.

    Args:
        chosen: Scores of the preferred answers. Shape [P].
        rejected: Scores of the others. Shape [P].
        weights: Weight of each pair, for instance its votes. Shape [P].
    """
    return (win_losses(chosen - rejected) * weights).sum() / weights.sum()


def win_losses(gaps: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(gap) of each pair that was decided. Shape of `gaps`."""
    return -torch.nn.functional.logsigmoid(gaps)


def rao_kupper(gaps: torch.Tensor, threshold: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """-log of the probability that the first answer of a pair wins, and that the two tie.

    Scores are perceived with logistic noise between them, and tie if they seem less than eta apart. With
    strengths p = exp(r) and theta = exp(eta),

        P(i wins) = p_i / (p_i + theta p_j) = sigmoid(r_i - r_j - eta)
        P(tie) = (theta^2 - 1) P(i wins) P(j wins)

    Source: Rao and Kupper 1967, "Ties in paired-comparison experiments".

    Args:
        gaps: r_i - r_j of each pair. Any shape.
        threshold: eta, in units of score; with 0 there are no ties, and this is Bradley and Terry's.

    Returns:
        Two tensors of the shape of `gaps`.
    """
    wins, losses = win_losses(gaps - threshold), win_losses(-gaps - threshold)
    return wins, wins + losses - torch.expm1(2 * threshold).log()


def floor_losses(scores: torch.Tensor, failed: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(-r) of an answer marked F, -log sigmoid(r) of one that was not: the floor is 0.

    Args:
        scores: Shape [A] or [A, N].
        failed: Shape [A], bool.

    Returns:
        Shape of `scores`.
    """
    signs = torch.where(failed, -1.0, 1.0).view(-1, *[1] * (scores.ndim - 1))
    return -torch.nn.functional.logsigmoid(scores * signs)
