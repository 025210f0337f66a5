"""Preferences between answers as indices, and the groups of answers that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tasks.ml.batching import Group


@dataclass(frozen=True)
class Preferences:
    """P preferences between M answers.

    Attributes:
        chosen: Index of the preferred answer. Shape [P].
        rejected: Index of the other. Shape [P].
        votes: Weight of each pair. Shape [P].
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    votes: torch.Tensor

    def within(self, present: torch.Tensor) -> "Preferences":
        """Those whose two answers are both present. `present` has shape [M], bool."""
        keep = present[self.chosen] & present[self.rejected]
        return Preferences(self.chosen[keep], self.rejected[keep], self.votes[keep])

    def __len__(self) -> int:
        return len(self.chosen)


def pair_accuracy(scores: torch.Tensor, preferences: Preferences) -> torch.Tensor:
    """Whether each pair is ordered as people did; one half where scores are equal. Shape [P]."""
    difference = scores[preferences.chosen] - scores[preferences.rejected]
    return (difference > 0).float() + 0.5 * (difference == 0).float()


def with_pairs(groups: Sequence[Group], preferences: Preferences) -> list[Group]:
    """Groups with at least one pair inside; the others would train on nothing."""
    owner = {branch.index: number for number, group in enumerate(groups) for branch in group.branches}
    both = zip(preferences.chosen.tolist(), preferences.rejected.tolist(), strict=True)
    wanted = {owner[chosen] for chosen, rejected in both if owner[chosen] == owner[rejected]}
    return [group for number, group in enumerate(groups) if number in wanted]
