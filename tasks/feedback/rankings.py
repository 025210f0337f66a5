"""What a ranking says beyond its pairs: which answers were picked from which, and which are F."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Ranking, Thumbs
from tasks.feedback.pairs import pairs_of


@dataclass(frozen=True)
class Pick:
    """The answers on one rank, from those that no higher rank had taken.

    Attributes:
        row: Id of the question.
        chosen: The answers on the rank, in alphabetical order; several are tied.
        others: The answers below it, F answers among them, in alphabetical order.
        votes: How many annotators said so.
    """

    row: str
    chosen: tuple[str, ...]
    others: tuple[str, ...]
    votes: int = 1


@dataclass(frozen=True)
class FailMark:
    """An answer that an annotator could have marked F.

    Attributes:
        row: Id of the question.
        text: The answer.
        failed: Whether it was marked F.
        votes: How many annotators said so.
    """

    row: str
    text: str
    failed: bool
    votes: int = 1


def picks_of(event: FeedbackEvent) -> list[Pick]:
    """A judgement as a sequence of picks, best first.

    F answers are never picked, and a last answer that is alone was not picked from anything. A text that
    stands on two ranks contradicts itself and is left out. Thumbs say nothing of two answers that both are
    up, so each answer that is up is picked over each that is down.
    """
    if isinstance(event.judgement, Thumbs):
        return [Pick(event.row, (pair.chosen,), (pair.rejected,)) for pair in pairs_of(event)]
    ranks: dict[str, set[int | None]] = {}
    for shown, rank in event.placed:
        ranks.setdefault(shown.text, set()).add(rank)
    placed = {text: given.pop() for text, given in sorted(ranks.items()) if len(given) == 1}
    left, picks = list(placed), []
    for rank in sorted({rank for rank in placed.values() if rank is not None}):
        chosen = tuple(text for text in left if placed[text] == rank)
        left = [text for text in left if placed[text] != rank]
        if left or len(chosen) > 1:
            picks.append(Pick(event.row, chosen, tuple(left)))
    return picks


def every_pick(events: Iterable[FeedbackEvent]) -> list[Pick]:
    """All picks; equal ones once, `votes` says how many there are."""
    votes = Counter(pick for event in events for pick in picks_of(event))
    return [replace(pick, votes=count) for pick, count in votes.items()]


def every_fail_mark(events: Sequence[FeedbackEvent]) -> list[FailMark]:
    """Every answer of a ranking, with whether it was marked F; none if nobody ever used F.

    Other judgements do not offer F, and where nobody used it there is no floor to be seen.
    """
    votes = Counter(
        FailMark(event.row, shown.text, rank is None)
        for event in events
        if isinstance(event.judgement, Ranking)
        for shown, rank in event.placed
    )
    if not any(mark.failed for mark in votes):
        return []
    return [replace(mark, votes=count) for mark, count in votes.items()]
