"""The feedback store: events are appended, read in order, and removed only when their annotator asks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select
from sqlalchemy.orm import Session

from configs.errors import Problem
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store.database import Database, FeedbackStoreError, now
from tasks.feedback.store.tables import AnnotatorRow, EventRow, WithdrawalRow

FIELDS = tuple(FeedbackEvent.model_fields)
IDS_AT_ONCE = 500


@dataclass(frozen=True)
class Added:
    """What became of the events given.

    Attributes:
        new: Ids of those that were appended.
        known: How many were there already.
        withdrawn: How many an annotator had taken away; they do not come back.
    """

    new: tuple[str, ...]
    known: int
    withdrawn: int


class EventStore:
    """Events in a database; any number of processes may use it at once."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, events: Sequence[FeedbackEvent]) -> Added:
        """Append events, all or none; those whose id is known are the same event again.

        Raises:
            FeedbackStoreError: A known id holds another event; all such ids are named, nothing is appended.
        """
        with self.database.writing() as session:
            return append(session, events)

    def events(
        self, after: int = 0, up_to: int | None = None, annotator: str | None = None
    ) -> Iterator[FeedbackEvent]:
        """Events in the order in which they came.

        Args:
            after: Only those of a later sequence.
            up_to: Only those of this sequence or an earlier one.
            annotator: Only theirs.
        """
        wanted: list[ColumnElement[bool]] = [EventRow.sequence > after]
        if up_to is not None:
            wanted.append(EventRow.sequence <= up_to)
        if annotator is not None:
            wanted.append(EventRow.annotator == annotator)
        with self.database.reading() as session:
            query = select(EventRow).where(*wanted).order_by(EventRow.sequence)
            for row in session.scalars(query.execution_options(yield_per=1000)):
                yield as_event(row)

    def known(self, ids: Sequence[str]) -> dict[str, FeedbackEvent]:
        """The events of these ids that are there."""
        with self.database.reading() as session:
            return _stored(session, ids)

    def last_sequence(self) -> int:
        """The sequence of the newest event; 0 if there is none."""
        with self.database.reading() as session:
            return session.scalar(select(func.max(EventRow.sequence))) or 0

    def knows(self, annotator: str) -> bool:
        """Whether somebody of that name ever judged here, or was invited to."""
        found = select(
            or_(
                exists().where(EventRow.annotator == annotator),
                exists().where(WithdrawalRow.annotator == annotator),
                exists().where(AnnotatorRow.name == annotator),
            )
        )
        with self.database.reading() as session:
            return bool(session.scalar(found))

    def annotators(self) -> list[str]:
        """All whose events are here, sorted."""
        with self.database.reading() as session:
            return sorted(session.scalars(select(EventRow.annotator).distinct()))

    def all_annotators(self) -> set[str]:
        """Those whose events are here, or were before they were withdrawn."""
        with self.database.reading() as session:
            columns = (EventRow.annotator, WithdrawalRow.annotator)
            return {name for column in columns for name in session.scalars(select(column).distinct())}

    def all_ids(self) -> set[str]:
        """Ids of all events that are here, or were before they were withdrawn."""
        with self.database.reading() as session:
            return {
                id for column in (EventRow.id, WithdrawalRow.event) for id in session.scalars(select(column))
            }

    def count(self, annotator: str) -> int:
        """How many events an annotator has here."""
        with self.database.reading() as session:
            query = select(func.count()).where(EventRow.annotator == annotator)
            return session.scalar(query) or 0

    def withdraw(self, annotator: str) -> list[str]:
        """Remove an annotator's events and their access; give the events' ids, which never come back."""
        with self.database.writing() as session:
            ids = list(session.scalars(select(EventRow.id).where(EventRow.annotator == annotator)))
            if ids:
                when = now()
                session.execute(
                    insert(WithdrawalRow),
                    [{"event": id, "annotator": annotator, "withdrawn_at": when} for id in ids],
                )
            # Last: the database lets go only of events that were withdrawn.
            session.execute(delete(EventRow).where(EventRow.annotator == annotator))
            row = session.get(AnnotatorRow, annotator)
            if row is not None and row.revoked_at is None:
                row.revoked_at = now()
        return ids


def append(session: Session, events: Sequence[FeedbackEvent]) -> Added:
    """`EventStore.add` inside a transaction of `Database.writing`, which may do more."""
    wanted: dict[str, FeedbackEvent] = {}
    clashes: list[str] = []
    for event in events:
        if wanted.setdefault(event.id, event) != event:
            clashes.append(event.id)
    stored = _stored(session, list(wanted))
    gone = _withdrawn(session, list(wanted))
    clashes += [id for id, event in stored.items() if event != wanted[id]]
    if clashes:
        raise FeedbackStoreError([_clash(id) for id in dict.fromkeys(clashes)])
    new = [event for id, event in wanted.items() if id not in stored and id not in gone]
    if new:
        session.execute(insert(EventRow), [_as_row(event) for event in new])
    return Added(tuple(event.id for event in new), len(stored) + len(events) - len(wanted), len(gone))


def find_event(session: Session, id: str) -> FeedbackEvent | None:
    """The event of this id."""
    return _stored(session, [id]).get(id)


def as_event(row: EventRow) -> FeedbackEvent:
    """An event as it was appended."""
    return FeedbackEvent.model_validate({name: getattr(row, name) for name in FIELDS})


def _stored(session: Session, ids: Sequence[str]) -> dict[str, FeedbackEvent]:
    found: dict[str, FeedbackEvent] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        query = select(EventRow).where(EventRow.id.in_(ids[start : start + IDS_AT_ONCE]))
        found |= {row.id: as_event(row) for row in session.scalars(query)}
    return found


def _withdrawn(session: Session, ids: Sequence[str]) -> set[str]:
    gone: set[str] = set()
    for start in range(0, len(ids), IDS_AT_ONCE):
        part = ids[start : start + IDS_AT_ONCE]
        gone |= set(session.scalars(select(WithdrawalRow.event).where(WithdrawalRow.event.in_(part))))
    return gone


def _as_row(event: FeedbackEvent) -> dict[str, object]:
    return event.model_dump(mode="json") | {"kind": event.judgement.kind}


def _clash(id: str) -> Problem:
    return Problem(
        f"event {id}", "another event under a known id", "the same event", "Give the new event its own id."
    )
