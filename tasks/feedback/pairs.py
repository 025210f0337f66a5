"""From judgements to pairs: who was placed above whom, and which answers were called equal."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Ratings, Thumbs

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
        marks: By how many marks the answer placed above was rated higher; 0 where nobody rated.
    """

    row: str
    chosen: str
    rejected: str
    votes: int = 1
    marks: float = 0.0


@dataclass(frozen=True)
class Tie:
    """Two answers to one question that were judged equally good.

    Attributes:
        row: Id of the question.
        first: One answer, the one that comes first in the alphabet.
        second: The other.
        votes: How many annotators said so.
    """

    row: str
    first: str
    second: str
    votes: int = 1


def pairs_of(event: FeedbackEvent) -> list[Pair]:
    """All strict preferences in a judgement.

    A tie gives no pair, two fails give no pair, and the same text twice gives no pair. A ranking of K answers
    without ties gives K (K - 1) / 2.
    """
    judgement = event.judgement
    given = judgement.ratings if isinstance(judgement, Ratings) else (0.0,) * len(event.placed)
    placed = [
        (FAIL_RANK if rank is None else rank, shown.text, mark)
        for (shown, rank), mark in zip(event.placed, given, strict=True)
    ]
    pairs = []
    for one, other in combinations(placed, 2):
        if one[0] != other[0] and one[1] != other[1]:
            (_, better, more), (_, worse, less) = sorted((one, other))
            pairs.append(Pair(event.row, better, worse, marks=more - less))
    return pairs


def ties_of(event: FeedbackEvent) -> list[Tie]:
    """All pairs of answers that a judgement calls equally good: equal ranks, or equal marks.

    Two fails are no tie, since nobody compared them. Nor are two thumbs that point the same way: each was
    given to an answer by itself.
    """
    if isinstance(event.judgement, Thumbs):
        return []
    return [
        Tie(event.row, min(first.text, second.text), max(first.text, second.text))
        for (first, rank), (second, other_rank) in combinations(event.placed, 2)
        if rank is not None and rank == other_rank and first.text != second.text
    ]


def every_pair(events: Iterable[FeedbackEvent]) -> list[Pair]:
    """All strict preferences, contradictions too; equal ones once, `votes` says how many there are."""
    votes = Counter(pair for event in events for pair in pairs_of(event))
    return [replace(pair, votes=count) for pair, count in votes.items()]


def every_tie(events: Iterable[FeedbackEvent]) -> list[Tie]:
    """All ties; equal ones once, `votes` says how many there are."""
    votes = Counter(tie for event in events for tie in ties_of(event))
    return [replace(tie, votes=count) for tie, count in votes.items()]


def majority_pairs(events: Iterable[FeedbackEvent]) -> list[Pair]:
    """One pair for every two answers on which more annotators placed one above the other than the reverse.

    `votes` is by how many. Even votes cancel out: this is what most people would say, which is what a model
    can be right about. How sure they are of it is in `every_pair`.
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
