"""The load measurement: what it calls lost and doubled, worked by hand, and a short run of all of it."""

from typing import Any

import pytest

from benchmarks.feedback_clients import Acknowledged, Annotator
from benchmarks.feedback_load import account, measure, parse
from benchmarks.postgresql import NoPostgreSQLError
from tasks.feedback.events import FeedbackEvent, Shown


def sent(comparison: str, ranks: list[int | None] | None = None) -> dict[str, Any]:
    judgement = {"kind": "ranking", "ranks": ranks or [1, 2]}
    return {"comparison": comparison, "judgement": judgement, "comment": "", "key": "k"}


def event(id: str, comparison: str, **changes: Any) -> FeedbackEvent:
    fields = {
        "id": id,
        "row": "row",
        "prompt": "?",
        "answers": tuple(Shown(text=text, model="m", stopped=True) for text in "ab"),
        "judgement": {"kind": "ranking", "ranks": (1, 2)},
        "annotator": "anna",
        "created_at": None,
        "source": "web",
        "simulated": False,
        "comparison": comparison,
    }
    return FeedbackEvent.model_validate(fields | changes)


def annotator(*acknowledged: Acknowledged, pending: list[dict[str, Any]] | None = None) -> Annotator:
    return Annotator("anna", "token", 1, 0.0, 0.0, list(acknowledged), pending=pending or [])


def counts(annotators: list[Annotator], stored: list[FeedbackEvent]) -> tuple[int, ...]:
    result = account(annotators, stored, 2.0)
    return tuple(result[name] for name in ("acknowledged", "stored", "lost", "twice", "unasked"))


def test_all_is_well() -> None:
    one, two = Acknowledged("1", sent("a"), 0.1, 0.1), Acknowledged("2", sent("b"), 0.3, 5.0)
    result = account([annotator(one, two)], [event("1", "a"), event("2", "b")], 2.0)
    assert (result["events_per_s"], result["p50_ms"], result["longest_wait_s"]) == (1.0, 200.0, 5.0)
    assert (result["lost"], result["twice"], result["unasked"], result["unacknowledged"]) == (0, 0, 0, 0)


def test_what_was_acknowledged_and_is_not_there_is_lost() -> None:
    one = annotator(Acknowledged("1", sent("a"), 0.1, 0.1))
    assert counts([one], []) == (1, 0, 1, 0, 0)
    assert counts([one], [event("2", "a")]) == (1, 1, 1, 0, 0)
    changed = event("1", "a", judgement={"kind": "ranking", "ranks": (2, 1)})
    assert counts([one], [changed]) == (1, 1, 1, 0, 0)
    assert counts([one], [event("1", "a", comment="other")]) == (1, 1, 1, 0, 0)


def test_one_judgement_under_two_ids_is_there_twice() -> None:
    one = annotator(Acknowledged("1", sent("a"), 0.1, 0.1))
    assert counts([one], [event("1", "a"), event("2", "a")]) == (1, 2, 0, 1, 0)


def test_what_was_sent_and_not_acknowledged_may_be_there_or_not() -> None:
    one = annotator(pending=[sent("a")])
    assert counts([one], []) == (0, 0, 0, 0, 0)
    assert counts([one], [event("1", "a")]) == (0, 1, 0, 0, 0)
    assert counts([one], [event("1", "b")]) == (0, 1, 0, 0, 1)


def test_numbers_that_measure_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--seconds", "0"], ["--annotators", "0"], ["--database", "paper"]):
        with pytest.raises(SystemExit):
            parse(arguments)


@pytest.mark.service
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_server_loses_nothing_that_it_acknowledged(kind: str) -> None:
    try:
        result = measure(parse(["--seconds", "5", "--database", kind]))[kind]
    except NoPostgreSQLError as error:
        pytest.skip(str(error))
    assert result["acknowledged"] > 0
    assert result["retries"] > 0
    named = ("lost", "twice", "unasked", "unacknowledged", "wrong_answers")
    assert [result[name] for name in named] == [0, 0, 0, 0, []]
