"""From rankings to preferences: who was placed above whom."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from tasks.feedback.events import FeedbackEvent

# An F is worse than every rank: the answer is no answer at all.
FAIL_RANK = 10**6


@dataclass(frozen=True)
class Pair:
    """A preference between two answers to one question.

    Attributes:
        row: Id of the question.
        chosen: The answer placed above.
        rejected: The answer placed below.
        votes: How many annotators said so.
    """

    row: str
    chosen: str
    rejected: str
    votes: int = 1


def pairs_of(event: FeedbackEvent) -> list[Pair]:
    """All strict preferences in a ranking.

    A tie gives no pair, two fails give no pair, and the same text twice gives no pair. A ranking of K answers
    without ties gives K (K - 1) / 2.
    """
    placed = [
        (FAIL_RANK if rank is None else rank, shown.text)
        for rank, shown in zip(event.ranks, event.answers, strict=True)
    ]
    pairs = []
    for (first_rank, first), (second_rank, second) in combinations(placed, 2):
        if first_rank != second_rank and first != second:
            better, worse = (first, second) if first_rank < second_rank else (second, first)
            pairs.append(Pair(event.row, better, worse))
    return pairs


def majority_pairs(events: Iterable[FeedbackEvent]) -> list[Pair]:
    """One pair for every two answers on which more annotators placed one above the other than the reverse.

    `votes` is by how many. Even votes cancel out, so contradictions never reach the reward model.
    """
    votes: Counter[tuple[str, str, str]] = Counter()
    for event in events:
        votes.update((pair.row, pair.chosen, pair.rejected) for pair in pairs_of(event))
    pairs = []
    for (row, chosen, rejected), count in votes.items():
        margin = count - votes[(row, rejected, chosen)]
        if margin > 0:
            pairs.append(Pair(row, chosen, rejected, margin))
    return pairs
