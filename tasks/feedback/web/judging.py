"""What an annotator can do: be asked, judge, take back. The page and the JSON API are two faces of it.

Annotators are blind: they see neither which model wrote an answer nor what others said of it.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from configs.errors import Problem, RetortError
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Correction, Judgement, Skip, answers_judged
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database, now
from tasks.feedback.store.event_store import append, as_event, find_event
from tasks.feedback.store.standing import asked_and_answered
from tasks.feedback.store.tables import AnnotatorRow, EventRow
from tasks.ml.seeding import random_for

HOLD_SECONDS = 600  # who has not judged by then is taken to have gone away


class JudgingError(RetortError):
    """Raised when a judgement does not fit what the annotator was asked."""


class AlreadyJudgedError(JudgingError):
    """Raised when another judgement of the same annotator stands in the way."""


@dataclass(frozen=True)
class Task:
    """What one annotator is asked.

    Attributes:
        comparison: Id of the comparison.
        prompt: The context and the question.
        answers: Texts, in the order of display.
        order: Where each of them is stored in the comparison.
    """

    comparison: str
    prompt: str
    answers: tuple[str, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Progress:
    """How many comparisons an annotator has dealt with, and how many wait for them."""

    done: int
    waiting: int


def nobody_listens(_: int) -> None:
    """What is done about stored judgements when nobody wants to know."""


class Judging:
    """The comparisons of a feedback store as each annotator meets them.

    Args:
        database: Of the store.
        on_stored: Told how many judgements were stored, once they are; it must return at once.
    """

    def __init__(self, database: Database, on_stored: Callable[[int], None] = nobody_listens) -> None:
        self._database = database
        self._on_stored = on_stored
        self._comparisons = Comparisons(database)
        # What each was asked last, and when. Lost with the process: then some are judged more than wanted.
        self._asked: dict[str, tuple[str, float]] = {}
        self._asking = threading.Lock()

    def next(self, annotator: str) -> Task | None:
        """What they are asked next; None if nothing waits for them.

        What as many others as are wanted are looking at is asked only when nothing else waits.
        """
        with self._asking:
            held = self._held_by_others(annotator)
            comparison = self._comparisons.next_for(annotator, held)
            if comparison is None and held:
                comparison = self._comparisons.next_for(annotator)
            if comparison is None:
                return None
            self._asked[annotator] = (comparison.id, time.monotonic())
        return _as_task(annotator, comparison)

    def find(self, annotator: str, comparison_id: str) -> Task | None:
        """A comparison as this annotator sees it; None if it is not in the queue."""
        comparison = self._comparisons.find(comparison_id)
        return _as_task(annotator, comparison) if comparison is not None else None

    def submit(
        self,
        annotator: str,
        comparison_id: str,
        order: Sequence[int],
        judgement: Judgement,
        comment: str = "",
        key: str = "",
    ) -> FeedbackEvent:
        """Store a judgement; it is on the disk when this returns.

        Beside one judgement of the answers, one correction may stand.

        Args:
            annotator: Who judges.
            comparison_id: What.
            order: `Task.order`, as it was shown to them.
            judgement: Of the answers in that order.
            comment: What they add.
            key: Random, and the same when the same judgement is sent again: it is stored once.

        Raises:
            JudgingError: Not what they were asked, or their access has ended.
            AlreadyJudgedError: They judged it before, or the key came with another judgement.
        """
        comparison = self._comparisons.find(comparison_id)
        if comparison is None:
            raise JudgingError(_unknown(comparison_id))
        problems = list(_misfits(_as_task(annotator, comparison), order, judgement))
        if problems:
            raise JudgingError(problems)
        event = FeedbackEvent(
            id=_digest(annotator, comparison_id, key),
            row=comparison.row,
            task=comparison.task,
            prompt=comparison.prompt,
            answers=tuple(comparison.answers[place] for place in order),
            judgement=judgement,
            annotator=annotator,
            comment=comment,
            created_at=now(),
            source="web",
            simulated=False,
            comparison=comparison_id,
        )
        with self._database.writing() as session:
            stored = _store_once(session, event)
        with self._asking:
            self._asked.pop(annotator, None)
        # Sent again, it was known.
        if stored is event:
            self._on_stored(1)
        return stored

    def undo(self, annotator: str) -> Task | None:
        """Take back all that they said of the comparison they judged last; it is asked again.

        Returns:
            That comparison; None if nothing was to take back, or if it is no longer in the queue.
        """
        with self._database.writing() as session:
            own = select(EventRow).where(
                EventRow.annotator == annotator, EventRow.source == "web", asked_and_answered()
            )
            newest = session.scalar(own.order_by(EventRow.sequence.desc()).limit(1))
            if newest is None:
                return None
            comparison = str(newest.comparison)
            rows = session.scalars(own.where(EventRow.comparison == comparison))
            append(session, [_taking_back(as_event(row)) for row in rows])
        return self.find(annotator, comparison)

    def progress(self, annotator: str) -> Progress:
        """How far they have come."""
        return Progress(
            len(self._comparisons.judged_by(annotator)), self._comparisons.count_waiting(annotator)
        )

    def _held_by_others(self, annotator: str) -> Counter[str]:
        since = time.monotonic() - HOLD_SECONDS
        return Counter(
            asked for other, (asked, when) in self._asked.items() if other != annotator and when > since
        )


def _as_task(annotator: str, comparison: Comparison) -> Task:
    # Drawn by name, so that it is another for each annotator, and the same when they load the page again.
    places = range(len(comparison.answers))
    order = tuple(random_for("display", annotator, comparison.id).sample(places, len(places)))
    answers = tuple(comparison.answers[place].text for place in order)
    return Task(comparison.id, comparison.prompt, answers, order)


def _misfits(task: Task, order: Sequence[int], judgement: Judgement) -> list[Problem]:
    problems = []
    if tuple(order) != task.order:
        shown = f"{list(task.order)}, as it was shown"
        problems.append(Problem("order", str(list(order)), shown, "Load the comparison again."))
    count, judged = len(task.answers), answers_judged(judgement)
    if judged is not None and judged != count:
        problems.append(
            Problem("judgement", f"{judgement.kind} of {judged} answers", f"of {count}", "Judge all of them.")
        )
    if isinstance(judgement, Correction) and judgement.corrected >= count:
        problems.append(
            Problem("judgement.corrected", str(judgement.corrected), f"below {count}", "Name one shown.")
        )
    if isinstance(judgement, Skip) and judgement.reason == "taken back":
        problems.append(Problem("judgement.reason", "taken back", "cannot judge", "Undo instead."))
    return problems


def _store_once(session: Session, event: FeedbackEvent) -> FeedbackEvent:
    known = find_event(session, event.id)
    if known is not None:
        # Sent again: only the time may differ.
        if known.model_copy(update={"created_at": event.created_at}) != event:
            raise AlreadyJudgedError(
                Problem("key", "one that another judgement came with", "a new one", "Load the page again.")
            )
        return known
    who = session.get(AnnotatorRow, event.annotator)
    if who is not None and who.revoked_at is not None:
        raise JudgingError(
            Problem("annotator", "one whose access ended", "one who may judge", "Ask for a new token.")
        )
    is_correction = EventRow.kind == "correction"
    rivals = select(EventRow.id).where(
        EventRow.annotator == event.annotator,
        EventRow.comparison == event.comparison,
        asked_and_answered(),
        is_correction if isinstance(event.judgement, Correction) else ~is_correction,
    )
    if session.scalar(rivals.limit(1)) is not None:
        raise AlreadyJudgedError(
            Problem("comparison", "one that you judged", "one that you did not", "Undo that, or go on.")
        )
    if append(session, [event]).withdrawn:
        raise JudgingError(
            Problem("key", "one of a withdrawn judgement", "a new one", "Load the page again.")
        )
    return event


def _taking_back(event: FeedbackEvent) -> FeedbackEvent:
    changes = {
        "id": _digest(event.annotator, event.id, "taken back"),
        "judgement": Skip(reason="taken back"),
        "comment": "",
        "created_at": now(),
        "replaces": event.id,
    }
    return event.model_copy(update=changes)


def _unknown(comparison: str) -> Problem:
    return Problem(
        "comparison", repr(comparison[:64]), "one in the queue", "It was taken out; load the next one."
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
