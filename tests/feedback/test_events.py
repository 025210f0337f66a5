"""Feedback events: what each judgement comes to, on disk, and the malformed ones."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent, Shown, load_events, standing, write_events

ANSWERS = (Shown(text="a\u2028\n", model="m", stopped=True), Shown(text="b", model="m", stopped=False))


def ranking(*ranks: int | None) -> dict[str, Any]:
    return {"kind": "ranking", "ranks": ranks}


def event(**changes: object) -> FeedbackEvent:
    fields = {
        "id": "1",
        "row": "row-1",
        "prompt": "Why?",
        "answers": ANSWERS,
        "judgement": ranking(1, None),
        "annotator": "anna",
        "created_at": None,
        "source": "web",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(fields | changes)


def test_events_survive_the_file(tmp_path) -> None:
    events = [
        event(),
        event(id="2", judgement=ranking(2, 1), comment="caf\u00e9", created_at="2024-01-01T00:00:00Z"),
        event(id="3", judgement={"kind": "correction", "corrected": 1, "text": "c\u2029"}, replaces="2"),
        event(id="4", judgement={"kind": "skip"}, source="import", simulated=True, comparison="f" * 64),
    ]
    write_events(tmp_path / "events.jsonl", events)
    assert load_events(tmp_path / "events.jsonl") == events
    write_events(tmp_path / "none.jsonl", [])
    assert load_events(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("judgement", "placed"),
    [
        (ranking(2, 1), [("a", 2), ("b", 1)]),
        (ranking(1, None), [("a", 1), ("b", None)]),
        ({"kind": "choice", "chosen": 0}, [("a", 1), ("b", 2)]),
        ({"kind": "choice", "chosen": 1}, [("a", 2), ("b", 1)]),
        ({"kind": "choice", "chosen": None}, [("a", 1), ("b", 1)]),
        ({"kind": "ratings", "ratings": (2, 4.5)}, [("a", 2), ("b", 1)]),
        ({"kind": "ratings", "ratings": (3, 3)}, [("a", 1), ("b", 1)]),
        ({"kind": "thumbs", "up": (True, False)}, [("a", 1), ("b", 2)]),
        ({"kind": "thumbs", "up": (False, False)}, [("a", 1), ("b", 1)]),
        ({"kind": "correction", "corrected": 1, "text": "c"}, [("c", 1), ("b", 2)]),
        ({"kind": "skip"}, []),
    ],
)
def test_every_judgement_comes_to_a_ranking(judgement: dict[str, Any], placed: list[Any]) -> None:
    found = event(judgement=judgement).placed
    assert [(shown.text.strip(), rank) for shown, rank in found] == placed


def test_ratings_of_three_leave_no_rank_out() -> None:
    three = (*ANSWERS, Shown(text="c", model="m", stopped=True))
    placed = event(answers=three, judgement={"kind": "ratings", "ratings": (1, 5, 5)}).placed
    assert [rank for _, rank in placed] == [2, 1, 1]


def test_what_a_later_event_of_the_same_annotator_replaces_does_not_hold() -> None:
    first, other = event(id="1"), event(id="2", annotator="bert")
    assert standing([first, other, event(id="3", replaces="1")]) == [other, event(id="3", replaces="1")]
    # Nobody takes back what somebody else said.
    foreign = event(id="4", annotator="bert", replaces="1")
    assert standing([first, foreign]) == [first, foreign]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"judgement": ranking(1, 2, 3)}, "ranking of 3 answers, but 2 were shown"),
        ({"judgement": ranking(0, 1)}, "ranks start at 1"),
        ({"judgement": ranking(-1, 1)}, "ranks start at 1"),
        ({"answers": ANSWERS[:1], "judgement": ranking(1)}, "at least 2"),
        ({"answers": ()}, "at least 1"),
        ({"judgement": {"kind": "choice", "chosen": 2}}, "choice.chosen"),
        ({"judgement": {"kind": "ratings", "ratings": (0, 5)}}, "greater than or equal to 1"),
        ({"judgement": {"kind": "thumbs", "up": (True,)}}, "thumbs of 1 answers, but 2 were shown"),
        ({"judgement": {"kind": "correction", "corrected": 2, "text": "c"}}, "answer 2 corrected of 2"),
        ({"judgement": {"kind": "mood"}}, "mood"),
        ({"source": "guess"}, "source"),
        ({"source": "web", "simulated": True}, "contradicts"),
        ({"source": "ai"}, "contradicts"),
        ({"annotator": ""}, "annotator"),
        ({"replaces": "1"}, "cannot replace itself"),
        ({"mood": "good"}, "mood"),
    ],
)
def test_malformed_events_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        event(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {name: "a\0b"}
        for name in ("id", "row", "task", "prompt", "annotator", "comment", "comparison", "replaces")
    ]
    + [{"created_at": "\0"}, {"judgement": {"kind": "correction", "corrected": 0, "text": "\0"}}]
    + [{"created_at": "x" * 41}, {"comparison": "x" * 65}, {"replaces": "x" * 129}],
)
def test_what_one_of_the_databases_could_not_keep_is_refused(changes: dict[str, object]) -> None:
    """PostgreSQL stopped a whole import at one event that SQLite had taken."""
    with pytest.raises(ValidationError, match="NUL character|at most"):
        event(**changes)
