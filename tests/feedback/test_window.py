"""What a night learns from: all that is new, and whole questions of before, drawn anew every night."""

from collections.abc import Callable

import pytest

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store.database import FeedbackStoreError
from tasks.feedback.store.event_store import EventStore
from tasks.feedback.store.window import open_window, read_window

MakeEvent = Callable[..., FeedbackEvent]


@pytest.fixture
def url(store: EventStore, database_url: str) -> str:
    """The address of the store that `store` writes to."""
    return database_url


def ids(events: tuple[FeedbackEvent, ...]) -> list[str]:
    return [event.id for event in events]


def test_what_came_after_the_watermark_is_new(store: EventStore, url: str, an_event: MakeEvent) -> None:
    store.add([an_event("1"), an_event("2"), an_event("3")])
    window = open_window(url, after=1, replay=0)
    assert (ids(window.new), ids(window.replayed), window.watermark) == (["2", "3"], [], 3)
    assert window.name.endswith("@1-3")


def test_nothing_new_is_an_empty_window(store: EventStore, url: str, an_event: MakeEvent) -> None:
    store.add([an_event("1")])
    assert open_window(url, after=1, replay=5).new == ()


def test_whole_questions_are_replayed(store: EventStore, url: str, an_event: MakeEvent) -> None:
    rows = ["p", "q", "r", "p", "q", "r"]
    store.add([an_event(str(place), row=row) for place, row in enumerate(rows, 1)])
    store.add([an_event("new", row="s")])
    # Two questions of two events each fit into five; a third would not.
    replayed = open_window(url, after=6, replay=5).replayed
    assert len(replayed) == 4
    assert len({event.row for event in replayed}) == 2
    assert ids(replayed) == sorted(ids(replayed))


def test_one_question_is_replayed_even_if_it_is_too_long(
    store: EventStore, url: str, an_event: MakeEvent
) -> None:
    store.add([an_event(str(place)) for place in range(4)])
    assert len(open_window(url, after=4, replay=2).replayed) == 4


def test_another_watermark_draws_other_questions(store: EventStore, url: str, an_event: MakeEvent) -> None:
    store.add([an_event(f"{place:02}", row=f"row {place}") for place in range(40)])
    drawn = {after: ids(open_window(url, after, 10).replayed) for after in (30, 31, 32)}
    assert all(len(own) == 10 for own in drawn.values())
    assert len({tuple(own) for own in drawn.values()}) == 3


def test_what_a_new_event_replaces_is_not_replayed(store: EventStore, url: str, an_event: MakeEvent) -> None:
    store.add([an_event("old"), an_event("new", replaces="old")])
    window = open_window(url, after=1, replay=5)
    assert (ids(window.replayed), ids(window.new)) == ([], ["new"])


def test_a_window_is_read_again_whatever_came_since(store: EventStore, url: str, an_event: MakeEvent) -> None:
    store.add([an_event("1"), an_event("2")])
    window = open_window(url, after=1, replay=5)
    store.add([an_event("3")])
    assert read_window(url, window.name, 5) == window


def test_a_withdrawn_event_is_missed(store: EventStore, url: str, an_event: MakeEvent) -> None:
    store.add([an_event("1"), an_event("2", annotator="bert"), an_event("3")])
    window = open_window(url, after=1, replay=5)
    store.withdraw("bert")
    with pytest.raises(FeedbackStoreError, match="other events"):
        read_window(url, window.name, 5)
    # The watermark stays where it was: what was learnt from is not learnt from again.
    assert ids(open_window(url, after=1, replay=0).new) == ["3"]


def test_a_name_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not the name of a window: simulated"):
        read_window(url, "simulated", 5)
