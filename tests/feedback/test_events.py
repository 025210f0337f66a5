"""Feedback events on disk, and the malformed ones."""

import pytest
from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent, Shown, load_events, write_events

ANSWERS = (Shown(text="a\u2028\n", model="m", stopped=True), Shown(text="b", model="m", stopped=False))


def event(**changes: object) -> FeedbackEvent:
    fields = {
        "id": "1",
        "row": "row-1",
        "prompt": "Why?",
        "answers": ANSWERS,
        "ranks": (1, None),
        "annotator": "anna",
        "created_at": None,
        "source": "web",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(fields | changes)


def test_events_survive_the_file(tmp_path) -> None:
    events = [event(), event(id="2", ranks=(2, 1), comment="caf\u00e9", created_at="2024-01-01T00:00:00Z")]
    write_events(tmp_path / "events.jsonl", events)
    assert load_events(tmp_path / "events.jsonl") == events
    write_events(tmp_path / "none.jsonl", [])
    assert load_events(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ranks": (1,)}, "1 ranks for 2 answers"),
        ({"ranks": (0, 1)}, "ranks start at 1"),
        ({"ranks": (-1, 1)}, "ranks start at 1"),
        ({"answers": ANSWERS[:1], "ranks": (1,)}, "at least 2"),
        ({"source": "guess"}, "source"),
        ({"annotator": ""}, "annotator"),
        ({"mood": "good"}, "mood"),
    ],
)
def test_malformed_events_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        event(**changes)
