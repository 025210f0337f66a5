"""One state of the feedback store, named so that a run can read it again: `SHA256@SEQUENCE`."""

import hashlib
from collections.abc import Iterable

from configs.errors import Problem
from tasks.feedback.events import FeedbackEvent, standing
from tasks.feedback.store.database import Database, FeedbackStoreError
from tasks.feedback.store.event_store import EventStore


def name_snapshot(url: str) -> str:
    """The name of the store's present state.

    Raises:
        FeedbackStoreError: The store cannot be read, or holds no event.
    """
    database = Database(url)
    try:
        store = EventStore(database)
        last = store.last_sequence()
        if not last:
            raise FeedbackStoreError(
                Problem(
                    "feedback.events",
                    f"`store`, and {database.shown} holds no event",
                    "feedback to learn from",
                    "Collect some with `retort feedback serve` or `retort feedback import`.",
                )
            )
        return f"{digest_events(store.events(up_to=last))}@{last}"
    finally:
        database.close()


def read_snapshot(url: str, name: str) -> list[FeedbackEvent]:
    """The events of a named state that hold; later ones are not seen.

    Raises:
        FeedbackStoreError: Events of that state are there no more, for instance withdrawn.
    """
    database = Database(url)
    try:
        events = list(EventStore(database).events(up_to=int(name.partition("@")[2])))
    finally:
        database.close()
    if digest_events(events) != name.partition("@")[0]:
        raise FeedbackStoreError(
            Problem(database.shown, "other events than when the run began", name, "Start the run again.")
        )
    return standing(events)


def digest_events(events: Iterable[FeedbackEvent]) -> str:
    """Give the sha256 of events in their order."""
    digest = hashlib.sha256()
    for event in events:
        digest.update(event.model_dump_json().encode() + b"\n")
    return digest.hexdigest()
