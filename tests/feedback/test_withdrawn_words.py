"""Whom the store knows, and that what an annotator withdraws is not left in the file."""

from collections.abc import Callable
from pathlib import Path

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore


def test_somebody_is_known_by_events_by_a_withdrawal_or_by_an_invitation(
    store: EventStore, database: Database, an_event: Callable[..., FeedbackEvent]
) -> None:
    assert not store.knows("anna")
    store.add([an_event("1"), an_event("2"), an_event("3", annotator="bert")])
    assert [store.knows(name) for name in ("anna", "bert", "ann")] == [True, True, False]
    assert [store.count(name) for name in ("anna", "bert", "ann")] == [2, 1, 0]
    assert store.annotators() == ["anna", "bert"]
    store.withdraw("anna")
    assert (store.knows("anna"), store.count("anna"), store.annotators()) == (True, 0, ["bert"])
    Annotators(database).invite("clara")
    assert store.knows("clara")


def test_withdrawn_words_are_overwritten_in_the_file(
    tmp_path: Path, an_event: Callable[..., FeedbackEvent]
) -> None:
    """SQLite only unlinks what is deleted; the words stayed in the file's free pages."""
    path = tmp_path / "words.db"
    database = Database(f"sqlite:///{path}")
    store = EventStore(database)
    store.add([an_event(f"{number}", comment=f"very-private-{number} " * 300) for number in range(20)])
    store.add([an_event("other", annotator="bert", comment="stays")])
    database.close()
    assert b"very-private" in path.read_bytes()
    again = Database(f"sqlite:///{path}")
    EventStore(again).withdraw("anna")
    again.close()
    assert [file.name for file in tmp_path.glob("words.db*")] == ["words.db"]
    assert b"very-private" not in path.read_bytes()
    assert b"stays" in path.read_bytes()
