"""What an annotator is asked, says and takes back: blind, once, and nobody else's affair."""

import threading
from typing import Any

import pytest

from configs.errors import RetortError
from tasks.feedback.events import Shown, standing
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Skip, Thumbs
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.feedback.web.judging import AlreadyJudgedError, Judging, JudgingError, Progress, Task

FIRST = Ranking(ranks=(1, 2, None))


@pytest.fixture
def judging(database: Database) -> Judging:
    """Two comparisons of three answers by three models wait, `high` before `low`."""
    Comparisons(database).put([comparison("low", 0), comparison("high", 1)])
    return Judging(database)


def comparison(row: str, priority: float, texts: str = "abc") -> Comparison:
    answers = tuple(Shown(text=f"{row} {text}", model=f"model {text}", stopped=True) for text in texts)
    return Comparison(row=row, task="lookup", prompt=f"{row}?", answers=answers, priority=priority, wanted=9)


def asked(judging: Judging, annotator: str = "anna") -> Task:
    task = judging.next(annotator)
    assert task is not None
    return task


def test_the_order_of_display_is_an_annotators_own_and_stays(judging: Judging, database: Database) -> None:
    task = asked(judging)
    assert (task.prompt, sorted(task.answers), sorted(task.order)) == (
        "high?",
        ["high a", "high b", "high c"],
        [0, 1, 2],
    )
    assert [f"high {'abc'[place]}" for place in task.order] == list(task.answers)
    assert asked(judging) == judging.find("anna", task.comparison) == asked(Judging(database)) == task
    orders = {asked(judging, f"annotator {number}").order for number in range(60)}
    assert len(orders) == 6


def test_every_place_is_as_likely_for_every_answer(judging: Judging) -> None:
    first = [asked(judging, f"annotator {number}").order[0] for number in range(150)]
    # 50 expected, with a deviation of 5.8.
    assert all(30 < first.count(place) < 70 for place in range(3))


def test_a_task_does_not_say_who_wrote_what(judging: Judging) -> None:
    assert "model" not in str(asked(judging))


def test_a_judgement_is_stored_as_it_was_shown(judging: Judging, database: Database) -> None:
    task = asked(judging)
    event = judging.submit("anna", task.comparison, task.order, FIRST, "hm", "key-1")
    assert list(EventStore(database).events()) == [event]
    assert tuple(answer.text for answer in event.answers) == task.answers
    assert [answer.model[-1] for answer in event.answers] == [answer[-1] for answer in task.answers]
    assert (event.row, event.task, event.prompt, event.judgement) == ("high", "lookup", "high?", FIRST)
    assert (event.annotator, event.comment, event.comparison) == ("anna", "hm", task.comparison)
    assert (event.source, event.simulated, event.replaces) == ("web", False, None)
    assert event.created_at is not None
    assert event.created_at.endswith("+00:00")


def test_each_stored_judgement_is_told_once_when_it_can_be_read(database: Database) -> None:
    told: list[list[str]] = []
    store = EventStore(database)
    Comparisons(database).put([comparison("high", 1)])
    judging = Judging(database, lambda count: told.append([e.id for e in store.events()][-count:]))
    task = asked(judging)
    event = judging.submit("anna", task.comparison, task.order, FIRST, "", "key-1")
    judging.submit("anna", task.comparison, task.order, FIRST, "", "key-1")
    with pytest.raises(AlreadyJudgedError):
        judging.submit("anna", task.comparison, task.order, FIRST, "", "key-2")
    judging.undo("anna")
    assert told == [[event.id]]


def test_the_same_judgement_sent_again_is_stored_once(judging: Judging, database: Database) -> None:
    task = asked(judging)
    first = judging.submit("anna", task.comparison, task.order, FIRST, "hm", "key-1")
    assert judging.submit("anna", task.comparison, task.order, FIRST, "hm", "key-1") == first
    assert list(EventStore(database).events()) == [first]


@pytest.mark.parametrize(
    "changes", [{"comment": "no"}, {"judgement": Ranking(ranks=(2, 1, 1))}, {"key": "key-2"}]
)
def test_another_judgement_of_the_same_comparison_is_refused(
    judging: Judging, database: Database, changes: dict[str, Any]
) -> None:
    task = asked(judging)
    fields = {"judgement": FIRST, "comment": "hm", "key": "key-1"}
    judging.submit("anna", task.comparison, task.order, **fields)
    with pytest.raises(AlreadyJudgedError):
        judging.submit("anna", task.comparison, task.order, **(fields | changes))
    assert len(list(EventStore(database).events())) == 1


def test_two_pages_at_once_store_one_judgement(judging: Judging, database: Database) -> None:
    task = asked(judging)
    stored, refused = [], []

    def send(key: str) -> None:
        try:
            stored.append(judging.submit("anna", task.comparison, task.order, FIRST, key=key))
        except AlreadyJudgedError as error:
            refused.append(error)

    threads = [threading.Thread(target=send, args=(f"key-{number % 3}",)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(stored), len(refused)) == (3, 6)
    assert list(EventStore(database).events()) == stored[:1]


def test_a_correction_stands_beside_a_judgement(judging: Judging) -> None:
    task = asked(judging)
    better = Correction(corrected=2, text="high d")
    judging.submit("anna", task.comparison, task.order, FIRST, key="1")
    judging.submit("anna", task.comparison, task.order, better, key="2")
    with pytest.raises(AlreadyJudgedError):
        judging.submit("anna", task.comparison, task.order, better, key="3")
    assert judging.progress("anna") == Progress(1, 1)


def test_progress_is_an_annotators_own(judging: Judging) -> None:
    assert judging.progress("anna") == Progress(0, 2)
    task = asked(judging)
    judging.submit("anna", task.comparison, task.order, FIRST)
    assert (judging.progress("anna"), judging.progress("bert")) == (Progress(1, 1), Progress(0, 2))
    other = asked(judging)
    assert other.prompt == "low?"
    judging.submit("anna", other.comparison, other.order, Skip())
    assert judging.progress("anna") == Progress(2, 0)
    assert judging.next("anna") is None
    assert asked(judging, "bert").prompt == "high?"


def test_annotators_at_once_are_asked_different_things(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who judged at once were asked the same, and one judgement was wanted of it."""
    wanted_once = [comparison(row, place).model_copy(update={"wanted": 1}) for place, row in enumerate("cba")]
    Comparisons(database).put(wanted_once)
    judging = Judging(database)
    first, second = asked(judging, "anna"), asked(judging, "bert")
    assert (first.prompt, second.prompt) == ("a?", "b?")
    # To load the page again changes nothing.
    assert (asked(judging, "anna"), asked(judging, "bert")) == (first, second)
    assert asked(judging, "carl").prompt == "c?"
    # Nothing else waits for her: rather one judgement too many than nobody asked.
    assert asked(judging, "dora").prompt == "a?"
    judging.submit("anna", first.comparison, first.order, FIRST)
    assert [asked(judging, name).prompt for name in ("dora", "anna")] == ["b?", "b?"]
    monkeypatch.setattr("tasks.feedback.web.judging.HOLD_SECONDS", 0)
    assert {asked(judging, name).prompt for name in ("anna", "bert", "carl")} == {"b?"}


def test_as_many_as_are_wanted_are_asked_the_same(database: Database) -> None:
    pair = [comparison(row, place).model_copy(update={"wanted": 2}) for place, row in enumerate("ba")]
    Comparisons(database).put(pair)
    judging = Judging(database)
    assert [asked(judging, name).prompt for name in ("anna", "bert", "carl")] == ["a?", "a?", "b?"]


def test_undo_asks_the_same_again(judging: Judging, database: Database) -> None:
    task = asked(judging)
    event = judging.submit("anna", task.comparison, task.order, FIRST, "hm", "key-1")
    assert judging.undo("bert") is None
    assert judging.undo("anna") == task
    assert judging.progress("anna") == Progress(0, 2)
    taking_back = list(EventStore(database).events())[1]
    assert (taking_back.replaces, taking_back.judgement) == (event.id, Skip(reason="taken back"))
    assert (taking_back.answers, taking_back.comment) == (event.answers, "")
    assert judging.undo("anna") is None
    again = judging.submit("anna", task.comparison, task.order, Ranking(ranks=(1, 1, 1)), "", "key-2")
    assert standing(EventStore(database).events()) == [taking_back, again]
    assert judging.progress("anna") == Progress(1, 1)


def test_undo_goes_back_step_by_step_and_takes_all_that_was_said(judging: Judging) -> None:
    high = asked(judging)
    judging.submit("anna", high.comparison, high.order, FIRST, key="1")
    judging.submit("anna", high.comparison, high.order, Correction(corrected=0, text="x"), key="2")
    low = asked(judging)
    judging.submit("anna", low.comparison, low.order, FIRST, key="3")
    assert [judging.undo("anna") for _ in range(3)] == [low, high, None]
    assert judging.progress("anna") == Progress(0, 2)


def test_undo_leaves_imported_judgements_alone(judging: Judging, database: Database, an_event: Any) -> None:
    EventStore(database).add([an_event("1", source="import", comparison=asked(judging).comparison)])
    assert judging.undo("anna") is None


def test_what_left_the_queue_can_be_taken_back_and_not_judged(judging: Judging, database: Database) -> None:
    task = asked(judging)
    judging.submit("anna", task.comparison, task.order, FIRST, key="1")
    Comparisons(database).clear()
    assert judging.undo("anna") is None
    assert len(list(EventStore(database).events())) == 2
    assert judging.find("anna", task.comparison) is None
    with pytest.raises(JudgingError, match="in the queue"):
        judging.submit("anna", task.comparison, task.order, FIRST, key="2")


@pytest.mark.parametrize(
    ("judgement", "said"),
    [
        (Ranking(ranks=(1, 2)), "ranking of 2 answers; expected of 3"),
        (Choice(chosen=0), "choice of 2 answers; expected of 3"),
        (Ratings(ratings=(1, 2, 3, 4)), "ratings of 4 answers; expected of 3"),
        (Thumbs(up=(True,)), "thumbs of 1 answers; expected of 3"),
        (Correction(corrected=3, text="x"), "got 3; expected below 3"),
        (Skip(reason="taken back"), "Undo instead"),
    ],
)
def test_what_does_not_fit_the_answers_is_refused(judging: Judging, judgement: Judgement, said: str) -> None:
    task = asked(judging)
    with pytest.raises(JudgingError, match=said):
        judging.submit("anna", task.comparison, task.order, judgement)
    assert judging.progress("anna") == Progress(0, 2)


def test_an_order_that_was_not_shown_is_refused(judging: Judging) -> None:
    task = asked(judging)
    for order in (task.order[::-1], (0, 1), (0, 0, 0), (), (7, 8, 9)):
        with pytest.raises(JudgingError, match="as it was shown"):
            judging.submit("anna", task.comparison, order, FIRST)
    # Another annotator's is no better.
    orders = [asked(judging, f"annotator {number}").order for number in range(20)]
    foreign = next(order for order in orders if order != task.order)
    with pytest.raises(JudgingError, match="as it was shown"):
        judging.submit("anna", task.comparison, foreign, FIRST)


def test_all_that_is_wrong_is_said_at_once(judging: Judging) -> None:
    task = asked(judging)
    with pytest.raises(RetortError) as caught:
        judging.submit("anna", task.comparison, task.order[::-1], Ranking(ranks=(1, 2)))
    assert [problem.what for problem in caught.value.problems] == ["order", "judgement"]


def test_who_withdrew_stores_nothing_more(judging: Judging, database: Database) -> None:
    """A judgement under way while its annotator withdrew was stored after the withdrawal."""
    Annotators(database).invite("anna")
    task = asked(judging)
    judging.submit("anna", task.comparison, task.order, FIRST, key="1")
    EventStore(database).withdraw("anna")
    for key in ("1", "2"):
        with pytest.raises(JudgingError, match="access ended"):
            judging.submit("anna", task.comparison, task.order, FIRST, key=key)
    Annotators(database).invite("anna")
    with pytest.raises(JudgingError, match="withdrawn"):
        judging.submit("anna", task.comparison, task.order, FIRST, key="1")
    judging.submit("anna", task.comparison, task.order, FIRST, key="2")
