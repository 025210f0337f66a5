"""What feedback covers: questions, tasks, models, and how many answers tied or failed."""

from collections.abc import Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Skip
from tasks.feedback.pairs import FAIL_RANK
from tasks.feedback.verdicts import Verdict, verdicts_of


class Coverage(BaseModel):
    """What a part of the feedback covers.

    Attributes:
        name: The source or the task; `all` for everything.
        events: Acts of feedback that hold.
        skips: Those that say "cannot judge" or take back.
        questions: Different questions.
        annotators: Who judged.
        models: Different models whose answers were shown.
        pairs: Pairs of answers compared, those of two F left out.
        tie_share: Of those pairs, the share that tied; None without any.
        fail_share: Of the answers compared, the share that got an F; None without any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    events: int
    skips: int
    questions: int
    annotators: int
    models: int
    pairs: int
    tie_share: float | None
    fail_share: float | None


def cover(name: str, events: Sequence[FeedbackEvent]) -> Coverage:
    """Count what events cover."""
    verdicts = verdicts_of(events)
    ranks = [rank for verdict in verdicts for rank in verdict.ranks]
    # Two answers with an F are not compared: neither is an answer.
    decided = sum(sign != 0 for verdict in verdicts for *_, sign in verdict.compared())
    tied = sum(_ties(verdict) for verdict in verdicts)
    return Coverage(
        name=name,
        events=len(events),
        skips=sum(isinstance(event.judgement, Skip) for event in events),
        questions=len({event.row for event in events}),
        annotators=len({event.annotator for event in events}),
        models=len({answer.model for event in events for answer in event.answers}),
        pairs=decided + tied,
        tie_share=tied / (decided + tied) if decided + tied else None,
        fail_share=ranks.count(FAIL_RANK) / len(ranks) if ranks else None,
    )


def _ties(verdict: Verdict) -> int:
    """Pairs of different answers with one rank, F left out."""
    rank_of = dict(zip((answer.text for answer in verdict.event.answers), verdict.ranks, strict=True))
    return sum(sign == 0 and rank_of[first] != FAIL_RANK for first, _, _, sign in verdict.compared())


def cover_parts(
    events: Sequence[FeedbackEvent], part: Callable[[FeedbackEvent], str]
) -> tuple[Coverage, ...]:
    """Count what each part of events covers; the parts are sorted by name."""
    return tuple(cover(name, own) for name, own in sorted(group_by(events, part).items()))


def group_by(
    events: Iterable[FeedbackEvent], part: Callable[[FeedbackEvent], str]
) -> dict[str, list[FeedbackEvent]]:
    """Events by what `part` says of them."""
    groups: dict[str, list[FeedbackEvent]] = {}
    for event in events:
        groups.setdefault(part(event), []).append(event)
    return groups
