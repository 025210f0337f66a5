"""The queue: who is asked what next, and when a comparison has been judged often enough."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore

MakeEvent = Callable[..., FeedbackEvent]
CANNOT = {"kind": "skip", "reason": "cannot judge"}
TAKEN_BACK = {"kind": "skip", "reason": "taken back"}


def comparison(row: str, texts: str = "ab", **changes: Any) -> Comparison:
    answers = tuple(Shown(text=one, model="m", stopped=True) for one in texts)
    return Comparison(row=row, prompt=f"{row}?", answers=answers, **changes)


@pytest.fixture
def queue(database: Database) -> Comparisons:
    return Comparisons(database)


@pytest.fixture
def judge(database: Database, an_event: MakeEvent) -> Callable[..., None]:
    """Store an event of an annotator about a comparison."""

    def run(id: str, annotator: str, about: Comparison, **changes: Any) -> None:
        EventStore(database).add([an_event(id, annotator=annotator, comparison=about.id, **changes)])

    return run


def rows(queue: Comparisons) -> list[str]:
    return [waiting.row for waiting in queue.open()]


def test_the_highest_priority_comes_first(queue: Comparisons) -> None:
    assert queue.next_for("anna") is None
    low, high = comparison("low", priority=-1.5), comparison("high", priority=2)
    assert queue.put([low, comparison("middle"), high]) == 3
    assert rows(queue) == ["high", "middle", "low"]
    assert queue.next_for("anna") == high
    assert queue.find(low.id) == low
    assert queue.find("f" * 64) is None


def test_the_same_comparison_waits_once_and_takes_the_new_priority(queue: Comparisons) -> None:
    first, turned = comparison("a", "xy"), comparison("a", "yx", priority=3, wanted=2)
    assert first.id == turned.id
    assert first.id != comparison("a", "xz").id != comparison("b", "xz").id
    assert queue.put([first, first]) == 1
    assert queue.put([turned]) == 0
    [waiting] = queue.open()
    assert (waiting.priority, waiting.wanted) == (3, 2)
    # The stored order stays: orders of display are numbers in it.
    assert [answer.text for answer in waiting.answers] == ["x", "y"]


def test_nobody_is_asked_the_same_twice_and_enough_is_enough(queue: Comparisons, judge: Any) -> None:
    one = comparison("one", wanted=2)
    queue.put([one])
    judge("1", "anna", one)
    assert queue.next_for("anna") is None
    assert queue.next_for("bert") == one
    assert (queue.count_waiting("anna"), queue.count_waiting("bert")) == (0, 1)
    # A second event of the same annotator makes no second judge.
    judge("2", "anna", one, judgement={"kind": "correction", "corrected": 0, "text": "better"})
    assert queue.next_for("bert") == one
    judge("3", "bert", one)
    assert queue.open() == []
    assert queue.next_for("carl") is None
    assert queue.judged_by("anna") == {one.id}
    assert queue.judged_by("carl") == set()


def test_who_cannot_judge_uses_up_no_place_but_is_not_asked_again(queue: Comparisons, judge: Any) -> None:
    """A "cannot judge" counted as a judge: such a comparison was closed without a judgement."""
    one = comparison("one")
    queue.put([one])
    judge("1", "anna", one, judgement=CANNOT)
    assert queue.next_for("anna") is None
    assert queue.next_for("bert") == one
    assert rows(queue) == ["one"]
    assert queue.judged_by("anna") == {one.id}


def test_what_was_taken_back_counts_as_never_judged(queue: Comparisons, judge: Any) -> None:
    """A judgement taken back closed the comparison, and kept its annotator from judging again."""
    one = comparison("one")
    queue.put([one])
    judge("1", "anna", one)
    assert queue.open() == []
    judge("2", "anna", one, judgement=TAKEN_BACK, replaces="1")
    assert queue.next_for("anna") == queue.next_for("bert") == one
    assert queue.judged_by("anna") == set()
    judge("3", "anna", one)
    assert queue.open() == []
    # Who changes their mind to "cannot judge" leaves the place to others.
    judge("4", "anna", one, judgement=CANNOT, replaces="3")
    assert queue.next_for("anna") is None
    assert queue.next_for("bert") == one


def test_nobody_takes_back_what_somebody_else_said(queue: Comparisons, judge: Any) -> None:
    one = comparison("one")
    queue.put([one])
    judge("1", "anna", one)
    judge("2", "bert", one, judgement=TAKEN_BACK, replaces="1")
    assert queue.open() == []
    assert queue.judged_by("anna") == {one.id}


def test_who_withdraws_leaves_the_place_to_others(queue: Comparisons, judge: Any, database: Database) -> None:
    one = comparison("one")
    queue.put([one])
    judge("1", "anna", one)
    EventStore(database).withdraw("anna")
    assert queue.next_for("bert") == one


def test_clearing_leaves_the_judgements(queue: Comparisons, judge: Any, database: Database) -> None:
    one = comparison("one")
    queue.put([one, comparison("two")])
    judge("1", "anna", one)
    assert queue.clear() == 2
    assert queue.open() == []
    assert len(list(EventStore(database).events())) == 1
    # Put again, it is the same comparison, and judged.
    queue.put([one])
    assert queue.open() == []


@pytest.mark.parametrize(
    "changes", [{"texts": "a"}, {"texts": "abcdefg"}, {"priority": float("nan")}, {"wanted": 0}]
)
def test_malformed_comparisons_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        comparison("a", **changes)
