"""Which single answers a judgement calls desirable."""

import pytest

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Skip, Thumbs
from tasks.feedback.single_answers import majority_verdicts, verdicts_of

LETTERS = "abcdef"


def event(judgement: Judgement, count: int, name: str = "1", annotator: str = "anna") -> FeedbackEvent:
    return FeedbackEvent(
        id=name,
        row="row-1",
        prompt="Which?",
        answers=tuple(Shown(text=letter, model="m", stopped=True) for letter in LETTERS[:count]),
        judgement=judgement,
        annotator=annotator,
        created_at=None,
        source="import",
        simulated=False,
    )


def said(judgement: Judgement, count: int) -> dict[str, bool]:
    return dict(verdicts_of(event(judgement, count)))


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ((1, 2), {"a": True, "b": False}),
        ((2, 1), {"a": False, "b": True}),
        # The one in the middle is neither.
        ((1, 2, 3), {"a": True, "c": False}),
        # Two tied in the middle, three tied below the best, three tied above the worst.
        ((1, 2, 2, 3), {"a": True, "d": False}),
        ((1, 2, 2, 2), {"a": True, "b": False, "c": False, "d": False}),
        ((1, 1, 1, 2), {"a": True, "b": True, "c": True, "d": False}),
        ((1, 2, 3, 4), {"a": True, "b": True, "c": False, "d": False}),
        # All tie: nobody is above anybody.
        ((1, 1, 1), {}),
        # An F stands below all ranks; in the middle of three it leaves the second out.
        ((1, 2, None), {"a": True, "c": False}),
        ((1, None, None), {"a": True, "b": False, "c": False}),
        # All are F: each is no answer, though none is below another.
        ((None, None), {"a": False, "b": False}),
        # Ranks with holes are the same ranking.
        ((5, 9, 9, 20), {"a": True, "d": False}),
    ],
)
def test_a_ranking_is_cut_at_its_middle(ranks: tuple[int | None, ...], expected: dict[str, bool]) -> None:
    assert said(Ranking(ranks=ranks), len(ranks)) == expected


def test_other_judgements() -> None:
    assert said(Thumbs(up=(True, True)), 2) == {"a": True, "b": True}
    assert said(Thumbs(up=(False, True)), 2) == {"a": False, "b": True}
    assert said(Ratings(ratings=(5, 3, 2.5, 3.5)), 4) == {"a": True, "c": False, "d": True}
    assert said(Choice(chosen=1), 2) == {"a": False, "b": True}
    assert said(Choice(chosen=None), 2) == {}
    assert said(Skip(), 2) == {}
    assert said(Correction(corrected=1, text="better"), 3) == {"better": True, "b": False}


def test_most_annotators_decide_and_even_ones_cancel_out() -> None:
    events = [
        event(Thumbs(up=(True, True, False)), 3, "1", "anna"),
        event(Thumbs(up=(True, False, False)), 3, "2", "ben"),
        event(Ranking(ranks=(3, 2, 1)), 3, "3", "cleo"),
    ]
    # a: up, up, below the middle. b: up, down, in the middle. c: down, down, above the middle.
    assert majority_verdicts(events) == {("row-1", "a"): True, ("row-1", "c"): False}
