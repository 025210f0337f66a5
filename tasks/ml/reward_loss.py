"""The Bradley–Terry loss, in nats per pair."""

import torch


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """-log sigmoid(r_chosen - r_rejected), weighted mean over pairs.

    Source: Bradley and Terry 1952; as a loss for reward models Stiennon et al. 2020, section 3.4.

    Args:
        chosen: Scores of the preferred answers. Shape [P].
        rejected: Scores of the others. Shape [P].
        weights: Weight of each pair, for instance its votes. Shape [P].
    """
    losses = -torch.nn.functional.logsigmoid(chosen - rejected)
    return (losses * weights).sum() / weights.sum()
