"""From events that were read to events in the store: what is known stays, what was changed is replaced."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.said import PREFIX, key_of
from tasks.feedback.store.event_store import EventStore


@dataclass(frozen=True)
class Sorted:
    """Events against what the store holds.

    Attributes:
        unknown: Those to add; one that changes an earlier judgement names it in `replaces`.
        known: How many are there already.
        repeated: How many stand in the file more than once.
        clashing: Ids that are known to hold another event.
    """

    unknown: list[FeedbackEvent]
    known: int
    repeated: int
    clashing: set[str]


def sort_out(store: EventStore, events: Iterable[FeedbackEvent]) -> Sorted:
    """Compare events with the store, which stays as it is."""
    listed = list(events)
    first: dict[str, FeedbackEvent] = {}
    clashing = {event.id for event in listed if not _same(first.setdefault(event.id, event), event)}
    stored = store.known(list(first))
    clashing |= {id for id, event in stored.items() if not _same(event, first[id])}
    unknown = [event for id, event in first.items() if id not in stored and id not in clashing]
    known = len(stored.keys() - clashing)
    repeated = sum(event.id not in clashing for event in listed) - known - len(unknown)
    return Sorted(_revised(store, unknown), known, repeated, clashing)


def _same(one: FeedbackEvent, other: FeedbackEvent) -> bool:
    # An id that an import made is a digest of what was said, of what, and by whom.
    return one == other or one.id == other.id and one.id.startswith(PREFIX)


def _revised(store: EventStore, events: list[FeedbackEvent]) -> list[FeedbackEvent]:
    """Let each event that has an earlier version in the store replace the latest of them."""
    wanted = {key_of(event.id) for event in events} - {None}
    if not wanted:
        return events
    latest = {
        (key, event.annotator): event.id for event in store.events() if (key := key_of(event.id)) in wanted
    }
    return [_replacing(event, latest.get((key_of(event.id), event.annotator))) for event in events]


def _replacing(event: FeedbackEvent, earlier: str | None) -> FeedbackEvent:
    return event.model_copy(update={"replaces": earlier}) if earlier and not event.replaces else event
