"""What is new in the feedback store since a watermark, and what is learnt again beside it: `SHA@AFTER-UPTO`.

The cost is that of the new events and of the replayed ones; of all others only their numbers are read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from configs.errors import Problem
from tasks.feedback.events import FeedbackEvent, standing
from tasks.feedback.store.database import Database, FeedbackStoreError
from tasks.feedback.store.event_store import IDS_AT_ONCE, EventStore, as_event
from tasks.feedback.store.snapshot import digest_events
from tasks.feedback.store.tables import EventRow
from tasks.ml.seeding import stable_hash

_FORM = re.compile(r"([0-9a-f]{64})@(\d+)-(\d+)")


@dataclass(frozen=True)
class Window:
    """The events of a night.

    Attributes:
        name: By which the same events are read again.
        new: Events after the watermark that hold.
        replayed: Earlier events that hold, of whole questions.
        watermark: The sequence up to which the new ones reach.
    """

    name: str
    new: tuple[FeedbackEvent, ...]
    replayed: tuple[FeedbackEvent, ...]
    watermark: int


def open_window(url: str, after: int, replay: int) -> Window:
    """What is new now, and a draw of older events, which is another one for every watermark.

    Args:
        url: Of the feedback store.
        after: The watermark: the last sequence that is not new.
        replay: Most earlier events.

    Raises:
        FeedbackStoreError: The store cannot be read.
    """
    database = Database(url)
    try:
        return _read(database, after, EventStore(database).last_sequence(), replay)
    finally:
        database.close()


def read_window(url: str, name: str, replay: int) -> Window:
    """The window of that name.

    Raises:
        FeedbackStoreError: Events of it are there no more, for instance withdrawn.
        ValueError: It is no window's name.
    """
    found = _FORM.fullmatch(name)
    if found is None:
        raise ValueError(f"not the name of a window: {name}")
    database = Database(url)
    try:
        window = _read(database, int(found[2]), int(found[3]), replay)
        shown = database.shown
    finally:
        database.close()
    if window.name != name:
        raise FeedbackStoreError(
            Problem(shown, f"other events ({window.name})", name, "Start the night again.")
        )
    return window


def _read(database: Database, after: int, up_to: int, replay: int) -> Window:
    new = list(EventStore(database).events(after, up_to))
    older = _draw(database, after, replay) if replay else []
    held = {event.id for event in standing([*older, *new])}
    kept_new = tuple(event for event in new if event.id in held)
    kept_old = tuple(event for event in older if event.id in held)
    name = f"{digest_events([*kept_old, *kept_new])}@{after}-{up_to}"
    return Window(name, kept_new, kept_old, up_to)


def _draw(database: Database, up_to: int, count: int) -> list[FeedbackEvent]:
    """Events of some questions, at most `count`, unless one question has more."""
    with database.reading() as session:
        query = select(EventRow.sequence, EventRow.row).where(EventRow.sequence <= up_to)
        by_question: dict[str, list[int]] = {}
        for sequence, row in session.execute(query.order_by(EventRow.sequence)):
            by_question.setdefault(row, []).append(sequence)
        drawn: list[int] = []
        for row in sorted(by_question, key=lambda row: stable_hash("replay", up_to, row)):
            if drawn and len(drawn) + len(by_question[row]) > count:
                break
            drawn += by_question[row]
        return _events_at(database, sorted(drawn))


def _events_at(database: Database, sequences: Sequence[int]) -> list[FeedbackEvent]:
    events: list[FeedbackEvent] = []
    with database.reading() as session:
        for start in range(0, len(sequences), IDS_AT_ONCE):
            part = sequences[start : start + IDS_AT_ONCE]
            query = select(EventRow).where(EventRow.sequence.in_(part)).order_by(EventRow.sequence)
            events += [as_event(row) for row in session.scalars(query)]
    return events
