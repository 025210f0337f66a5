"""What a collection of judgements holds, in counts and in rows for people."""

from collections.abc import Sequence
from typing import Any

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.pairs import majority_pairs, pairs_of


def describe(events: Sequence[FeedbackEvent]) -> dict[str, Any]:
    """Counts that say what the feedback is worth."""
    ranks = [[rank for _, rank in event.placed] for event in events]
    tied = sum(len(set(given)) < len(given) for given in ranks)
    return {
        "rows": len(events),
        "simulated": sum(event.simulated for event in events),
        "questions": len({event.row for event in events}),
        "annotators": len({event.annotator for event in events}),
        "pairs": sum(len(pairs_of(event)) for event in events),
        "majority_pairs": len(majority_pairs(events)),
        "events_with_ties": tied,
        "fails": sum(rank is None for given in ranks for rank in given),
    }


def rankings_shown(events: Sequence[FeedbackEvent]) -> list[dict[str, str | bool]]:
    """Rankings for people to look at; simulated ones say so."""
    return [
        {
            "annotator": event.annotator,
            "simulated": event.simulated,
            "prompt": event.prompt,
            "ranking": "\n".join(
                f"{'F' if rank is None else rank}: {answer.text}" for answer, rank in event.placed
            ),
        }
        for event in events
    ]
