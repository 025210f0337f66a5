"""What was said of answers, as indices: preferences, ties, picks of a ranking, marks of F; their groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tasks.ml.batching import Group


@dataclass(frozen=True)
class Preferences:
    """P preferences between M answers.

    Attributes:
        chosen: Index of the preferred answer. Shape [P].
        rejected: Index of the other. Shape [P].
        votes: Weight of each pair. Shape [P].
        marks: By how many marks the preferred answer was rated higher; None: nobody rated. Shape [P].
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    votes: torch.Tensor
    marks: torch.Tensor | None = None

    def within(self, present: torch.Tensor) -> "Preferences":
        """Those whose two answers are both present. `present` has shape [M], bool."""
        keep = present[self.chosen] & present[self.rejected]
        marks = None if self.marks is None else self.marks[keep]
        return Preferences(self.chosen[keep], self.rejected[keep], self.votes[keep], marks)

    def __len__(self) -> int:
        return len(self.chosen)


@dataclass(frozen=True)
class Ties:
    """Pairs of answers that were judged equally good.

    Attributes:
        first: Index of one answer. Shape [P].
        second: Index of the other. Shape [P].
        votes: Weight of each pair. Shape [P].
    """

    first: torch.Tensor
    second: torch.Tensor
    votes: torch.Tensor

    def within(self, present: torch.Tensor) -> "Ties":
        """Those whose two answers are both present. `present` has shape [M], bool."""
        keep = present[self.first] & present[self.second]
        return Ties(self.first[keep], self.second[keep], self.votes[keep])

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True)
class Picks:
    """C picks: from the answers that were left in a ranking, those that stand on the next rank.

    Attributes:
        answers: Indices of the answers left, those picked first, padded with -1. Shape [C, K].
        sizes: How many were picked. Shape [C].
        votes: Weight of each pick. Shape [C].
    """

    answers: torch.Tensor
    sizes: torch.Tensor
    votes: torch.Tensor

    def within(self, present: torch.Tensor) -> "Picks":
        """Those whose answers are all present. `present` has shape [M], bool."""
        keep = (present[self.answers] | (self.answers < 0)).all(1)
        return Picks(self.answers[keep], self.sizes[keep], self.votes[keep])

    def scores(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores [M, N] of the answers left, padded with -inf. Shape [C, K, N]."""
        return scores[self.answers].masked_fill((self.answers < 0)[..., None], -torch.inf)

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True)
class FailMarks:
    """Answers that annotators could have marked F, and whether they did.

    Attributes:
        answer: Index of the answer. Shape [A].
        failed: Whether it was marked F. Shape [A], bool.
        votes: How often. Shape [A].
    """

    answer: torch.Tensor
    failed: torch.Tensor
    votes: torch.Tensor

    def within(self, present: torch.Tensor) -> "FailMarks":
        """Those whose answer is present. `present` has shape [M], bool."""
        keep = present[self.answer]
        return FailMarks(self.answer[keep], self.failed[keep], self.votes[keep])

    def __len__(self) -> int:
        return len(self.answer)


def no_indices() -> torch.Tensor:
    """An empty list of indices."""
    return torch.empty(0, dtype=torch.long)


def _no_ties() -> Ties:
    return Ties(no_indices(), no_indices(), torch.empty(0))


def _no_picks() -> Picks:
    return Picks(no_indices().view(0, 2), no_indices(), torch.empty(0))


def _no_marks() -> FailMarks:
    return FailMarks(no_indices(), torch.empty(0, dtype=torch.bool), torch.empty(0))


@dataclass(frozen=True)
class RewardTargets:
    """All that is learnt from about M answers. What one loss does not read may be left out.

    Attributes:
        question: Number of the question of each answer. Shape [M].
        preferences: Decided pairs, every annotator's.
        ties: Pairs that were called equal.
        picks: Rankings, pick by pick; where there are any, they are learnt and the pairs only measured.
        fails: Marks of F.
    """

    question: torch.Tensor
    preferences: Preferences
    ties: Ties = field(default_factory=_no_ties)
    picks: Picks = field(default_factory=_no_picks)
    fails: FailMarks = field(default_factory=_no_marks)

    def within(self, present: torch.Tensor) -> "RewardTargets":
        """What is said of answers that are all present. `present` has shape [M], bool."""
        return RewardTargets(
            self.question,
            self.preferences.within(present),
            self.ties.within(present),
            self.picks.within(present),
            self.fails.within(present),
        )

    @property
    def answers(self) -> torch.Tensor:
        """Indices of the answers of which something is learnt, some more than once. Shape [...]."""
        if len(self.picks):
            compared = [self.picks.answers[self.picks.answers >= 0]]
        else:
            compared = [self.preferences.chosen, self.preferences.rejected, self.ties.first, self.ties.second]
        return torch.cat([*compared, self.fails.answer])


def pair_accuracy(scores: torch.Tensor, preferences: Preferences) -> torch.Tensor:
    """Whether each pair is ordered as people did; one half where scores are equal. Shape [P]."""
    difference = scores[preferences.chosen] - scores[preferences.rejected]
    return (difference > 0).float() + 0.5 * (difference == 0).float()


def groups_with(groups: Sequence[Group], answers: torch.Tensor) -> list[Group]:
    """Groups that hold at least one of these answers; the others would train on nothing.

    Args:
        groups: Each holds all the answers that are compared with one of its own.
        answers: Indices of answers.
    """
    wanted = set(answers.tolist())
    return [group for group in groups if any(branch.index in wanted for branch in group.branches)]
