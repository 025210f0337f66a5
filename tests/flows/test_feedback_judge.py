"""`retort feedback judge` on a store with people's judgements and a queue, by a tiny random teacher."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Choice
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore

ROOT = Path(__file__).parents[2]
Judge = Callable[..., Result]


def answers(*texts: str) -> tuple[Shown, ...]:
    return tuple(Shown(text=text, model="m" * 64, stopped=True) for text in texts)


def said(number: int) -> FeedbackEvent:
    return FeedbackEvent(
        id=f"anna-{number}",
        row=f"row-{number}",
        task="lookup",
        prompt=f"Food {number}: energy 5 kcal\nIs it rich?",
        answers=answers("No.", "Yes, very."),
        judgement=Choice(chosen=0),
        annotator="anna",
        created_at="2026-11-24T12:00:00.000+00:00",
        source="web",
        simulated=False,
    )


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RETORT_HOME", str(tmp_path))
    monkeypatch.delenv("RETORT_FEEDBACK_URL", raising=False)
    monkeypatch.chdir(ROOT)
    opened = Database(f"sqlite:///{tmp_path / 'feedback.db'}")
    EventStore(opened).add([said(number) for number in range(3)])
    waiting = Comparison(row="row-9", prompt="Food 9\nIs it rich?", answers=answers("No.", "Yes.", "Maybe."))
    Comparisons(opened).put([waiting])
    yield opened
    opened.close()


@pytest.fixture
def judge(database: Database) -> Judge:
    smoke = str(ROOT / "configs" / "smoke.yaml")
    return lambda *options: CliRunner().invoke(app, ["feedback", "judge", smoke, *options])


def test_people_s_pairs_come_first_and_nothing_is_judged_twice(judge: Judge, database: Database) -> None:
    store = EventStore(database)
    first = judge("--limit", "4")
    assert first.exit_code == 0, first.output
    own = list(store.events(annotator="ai-random:tiny"))
    assert [event.row for event in own] == ["row-0", "row-1", "row-2", "row-9"]
    assert all(event.simulated and event.source == "ai" for event in own)
    assert "judged by AI, not by people" in first.output
    assert "pairs that people judged too" in first.output
    # Three pairs of the three answers that wait, of which one is judged; then none are left.
    assert judge("--limit", "50").exit_code == 0
    assert len(list(store.events(annotator="ai-random:tiny"))) == 3 + 3
    assert judge("--limit", "50").exit_code == 0
    assert len(list(store.events(annotator="ai-random:tiny"))) == 3 + 3


def test_what_waits_for_people_goes_on_waiting(judge: Judge, database: Database) -> None:
    assert judge("--limit", "50").exit_code == 0
    waiting = Comparisons(database).next_for("anna")
    assert waiting is not None
    assert waiting.row == "row-9"


def test_revisions_are_corrections(judge: Judge, database: Database) -> None:
    assert judge("feedback.ai.max_new_tokens=4", "--limit", "0", "--revise", "2").exit_code == 0
    own = list(EventStore(database).events(annotator="ai-random:tiny"))
    assert {event.judgement.kind for event in own} <= {"correction"}
    assert len(own) <= 2
