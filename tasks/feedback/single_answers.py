"""From judgements to single answers that are desirable or not: what KTO learns from, without pairs."""

from collections import Counter
from collections.abc import Iterable

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Ratings, Thumbs

MIDDLE_RATING = 3.0  # of the scale from 1 to 5


def verdicts_of(event: FeedbackEvent) -> list[tuple[str, bool]]:
    """Each answer on which a judgement says something by itself, and whether it is desirable.

    Thumbs say it outright, and ratings by which side of 3 they are on. In a ranking or a choice, an answer is
    desirable if more answers stand below it than above it, and undesirable if it is the other way round; so
    what is in the middle, alone or tied, is left out, and where all tie nothing is said. An F is undesirable
    whatever else was shown: it is no answer at all. A correction is desirable, what it mends is not.
    """
    judgement = event.judgement
    if isinstance(judgement, Thumbs):
        return [(shown.text, up) for shown, up in zip(event.answers, judgement.up, strict=True)]
    if isinstance(judgement, Ratings):
        rated = zip(event.answers, judgement.ratings, strict=True)
        return [(shown.text, mark > MIDDLE_RATING) for shown, mark in rated if mark != MIDDLE_RATING]
    ranks = [float("inf") if rank is None else rank for _, rank in event.placed]
    verdicts = []
    for (shown, given), rank in zip(event.placed, ranks, strict=True):
        lead = sum(other > rank for other in ranks) - sum(other < rank for other in ranks)
        if given is None or lead:
            verdicts.append((shown.text, given is not None and lead > 0))
    return verdicts


def majority_verdicts(events: Iterable[FeedbackEvent]) -> dict[tuple[str, str], bool]:
    """Whether each (question, answer) is desirable by most verdicts; where they are even, it is left out."""
    balance: Counter[tuple[str, str]] = Counter()
    for event in events:
        for text, is_desirable in verdicts_of(event):
            balance[event.row, text] += 1 if is_desirable else -1
    return {answer: votes > 0 for answer, votes in balance.items() if votes}
