"""`retort feedback audit` and `withdraw`: what they say, leave behind, and how they exit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.feedback.events import FeedbackEvent, write_events
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.shared.local_store import LocalStore

if TYPE_CHECKING:
    from tests.flows.conftest import Retort

ANSWERS = [{"text": f"secret answer {name}", "model": "m" * 64, "stopped": True} for name in "AB"]


def event(annotator: str, row: str) -> FeedbackEvent:
    return FeedbackEvent.model_validate(
        {
            "id": f"{annotator}-{row}",
            "row": row,
            "prompt": "secret question",
            "answers": ANSWERS,
            "judgement": {"kind": "ranking", "ranks": (1, 2)},
            "annotator": annotator,
            "created_at": "2026-11-24T12:00:00.000+00:00",
            "source": "web",
            "simulated": False,
        }
    )


EVENTS = [event("anna", "q1"), event("anna", "q2"), event("bert", "q1")]


@pytest.fixture
def open_store(retort: "Retort") -> Callable[[], EventStore]:
    return lambda: EventStore(Database(f"sqlite:///{retort.home / 'feedback.db'}"))


@pytest.fixture
def artifacts(retort: "Retort", open_store: Callable[[], EventStore], tmp_path: Path) -> dict[str, str]:
    """The events in the store and in an artifact, and a reward model made of that; digests by stage."""
    store = open_store()
    store.add(EVENTS)
    store.database.close()
    digests: dict[str, str] = {}
    for number, stage in enumerate(("clean", "feedback", "reward")):
        folder = tmp_path / stage
        folder.mkdir()
        write_events(folder / ("events.jsonl" if stage == "feedback" else "other.jsonl"), EVENTS)
        local = LocalStore(retort.home / "store")
        parents = list(digests.values())
        digests[stage] = local.commit(f"{stage}/{str(number) * 64}", stage, folder, parents, {}, {}).sha256
    return digests


def lists(retort: "Retort") -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted((retort.home / "withdrawals").glob("*.json"))]


def test_the_audit_leaves_a_page(retort: "Retort", artifacts: dict[str, str]) -> None:
    result = retort("feedback", "audit")
    assert result.code == 0, result.err
    page = retort.home / "latest" / "feedback_audit.html"
    assert str(page) in result.out
    assert "People" in result.out
    assert "anna" in page.read_text()
    assert "secret" not in page.read_text()


def test_a_file_is_audited_where_it_is(retort: "Retort", tmp_path: Path) -> None:
    write_events(tmp_path / "events.jsonl", EVENTS)
    out = tmp_path / "deep" / "page.html"
    result = retort("feedback", "audit", "--events", str(tmp_path / "events.jsonl"), "--out", str(out))
    assert result.code == 0, result.err
    assert "<h1>Audit of feedback</h1>" in out.read_text()
    assert not (retort.home / "feedback.db").exists()
    (tmp_path / "events.jsonl").write_text("{}\n")
    broken = retort("feedback", "audit", "--events", str(tmp_path / "events.jsonl"))
    assert broken.code == 2
    assert "events.jsonl:1" in broken.err
    # No model is needed to count.
    assert retort.noted("import") == []


def test_nothing_to_audit_is_an_error(retort: "Retort") -> None:
    result = retort("feedback", "audit")
    assert result.code == 2
    assert "got no event" in result.err


def test_somebody_unknown_cannot_withdraw(
    retort: "Retort", artifacts: dict[str, str], open_store: Callable[[], EventStore]
) -> None:
    result = retort("feedback", "withdraw", "ana", "--yes")
    assert result.code == 2
    assert "Did you mean `anna`?" in result.err
    assert len(list(open_store().events())) == 3
    assert lists(retort) == []


def test_without_a_yes_nothing_happens(
    retort: "Retort", artifacts: dict[str, str], open_store: Callable[[], EventStore]
) -> None:
    result = retort("feedback", "withdraw", "anna")
    assert result.code == 1
    assert "2 events" in result.out
    assert len(list(open_store().events())) == 3
    assert lists(retort) == []


def test_withdrawing_lists_what_used_them_then_purges_and_can_be_repeated(
    retort: "Retort", artifacts: dict[str, str], open_store: Callable[[], EventStore]
) -> None:
    result = retort("feedback", "withdraw", "anna", "--yes")
    assert result.code == 0, result.err
    assert "Withdrawn: 2 events" in result.out
    assert "`--purge` deletes those" in result.out
    assert [one.annotator for one in open_store().events()] == ["bert"]
    assert open_store().add(EVENTS).withdrawn == 2

    purged = retort("feedback", "withdraw", "anna", "--yes", "--purge")
    assert purged.code == 0, purged.err
    assert "Deleted: 1 artifacts" in purged.out
    assert not list((retort.home / "store" / "artifacts" / "feedback").rglob("events.jsonl"))
    again = retort("feedback", "withdraw", "anna", "--yes", "--purge")
    assert again.code == 0, again.err

    first, second, third = lists(retort)
    used = {(one["stage"], one["sha256"], one["holds_events"]) for one in first["artifacts"]}
    feedback, reward = artifacts["feedback"], artifacts["reward"]
    assert used == {("feedback", feedback, True), ("reward", reward, False)}
    assert second["artifacts"] == first["artifacts"]
    assert [one["sha256"] for one in third["artifacts"]] == [reward]
    assert [one["held"] for one in (first, second, third)] == [[feedback]] * 3
    assert (first["annotator"], first["events"], second["events"]) == ("anna", 2, 0)
    assert "secret" not in json.dumps([first, second, third])


def test_a_store_that_cannot_be_looked_at_stops_it(
    retort: "Retort", artifacts: dict[str, str], open_store: Callable[[], EventStore]
) -> None:
    (retort.home / "s3").mkdir()
    result = retort("feedback", "withdraw", "anna", "--yes")
    assert result.code == 2
    assert "Start it: `retort up`." in result.err
    assert len(list(open_store().events())) == 3


def test_who_was_imported_by_name_is_withdrawn_by_name(
    retort: "Retort", open_store: Callable[[], EventStore], tmp_path: Path
) -> None:
    """Only the pseudonym was known, and nobody who asks to be forgotten knows theirs."""
    row = {"prompt": "Why?", "chosen": "a", "rejected": "b", "annotator": "carla@example.org"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    assert retort("feedback", "import", str(tmp_path / "rows.jsonl")).code == 0
    [pseudonym] = open_store().annotators()
    assert "carla" not in pseudonym
    result = retort("feedback", "withdraw", "carla@example.org", "--yes")
    assert result.code == 0, result.err
    assert open_store().annotators() == []
    [listed] = lists(retort)
    assert listed["annotator"] == pseudonym
    assert "carla" not in json.dumps(listed)
