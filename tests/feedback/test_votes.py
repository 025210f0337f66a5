"""Votes: every annotator's every preference, with the order in which the answers were displayed."""

from collections.abc import Callable

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.votes import votes_of

ANSWERS = [("row-1", "answer A"), ("row-1", "answer B"), ("row-1", "mended")]


def test_contradictions_stay_and_ties_are_no_votes(an_event: Callable[..., FeedbackEvent]) -> None:
    events = [
        an_event("1", task="lookup"),
        an_event("2", annotator="bert", judgement={"kind": "ranking", "ranks": (2, 1)}, task="open"),
        an_event("3", annotator="cleo", judgement={"kind": "ranking", "ranks": (1, 1)}),
        an_event("4", annotator="dora", judgement={"kind": "skip"}),
    ]
    votes = votes_of(events, ANSWERS)
    assert votes.chosen.tolist() == [0, 1]
    assert votes.rejected.tolist() == [1, 0]
    assert votes.annotator.tolist() == ["anna", "bert"]
    assert votes.task.tolist() == ["lookup", "open"]
    assert votes.question.tolist() == ["row-1", "row-1"]
    assert votes.simulated.tolist() == [False, False]
    # A is displayed before B each time; anna chose it, bert did not.
    assert votes.shown_first.tolist() == [1.0, -1.0]
    assert votes.pairs == 1


def test_a_correction_was_not_displayed(an_event: Callable[..., FeedbackEvent]) -> None:
    judgement = {"kind": "correction", "corrected": 1, "text": "mended"}
    votes = votes_of([an_event("1", judgement=judgement)], ANSWERS)
    assert (votes.chosen.tolist(), votes.rejected.tolist()) == ([2], [1])
    assert votes.shown_first.tolist() == [0.0]


def test_no_feedback_gives_no_votes() -> None:
    votes = votes_of([], [])
    assert (len(votes), votes.pairs) == (0, 0)
