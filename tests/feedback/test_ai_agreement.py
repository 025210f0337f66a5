"""A model beside people: raw agreement and Cohen's kappa, against figures worked by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.feedback.ai_agreement import agree, agreement_of, kappas, verdicts
from tasks.feedback.events import FeedbackEvent

AI = {"source": "ai", "simulated": True, "annotator": "ai-m", "created_at": None}
Make = Callable[..., FeedbackEvent]


def test_kappa_of_a_table_worked_by_hand() -> None:
    # Both said the one thing 20 times and the other 15 times; they differed 5 and 10 times.
    table = np.array([[[20.0, 5.0, 0.0], [10.0, 15.0, 0.0], [0.0, 0.0, 0.0]]])
    # p = 35 / 50 = 0.7; e = (25 x 30 + 25 x 20) / 2500 = 0.5; kappa = 0.2 / 0.5.
    assert kappas(table)[0] == pytest.approx(0.4)
    # Always against one another: p = 0, e = 0.5.
    assert kappas(np.array([[[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]))[0] == pytest.approx(-1)
    assert np.isnan(kappas(np.array([[[7.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]))[0])


def test_verdicts_are_the_majority_and_know_no_order(an_event: Make) -> None:
    said = [
        an_event("1", judgement={"kind": "ranking", "ranks": (1, 2)}),
        an_event("2", judgement={"kind": "ranking", "ranks": (1, 2)}, annotator="ben"),
        an_event("3", judgement={"kind": "ranking", "ranks": (2, 1)}, annotator="eva"),
    ]
    key = ("Is butter rich in fat?", "answer A", "answer B")
    assert verdicts(said) == {key: 1}
    swapped = [{"text": f"answer {name}", "model": "m", "stopped": True} for name in "BA"]
    other = an_event("4", judgement={"kind": "choice", "chosen": 0}, answers=swapped)
    assert verdicts([other]) == {key: -1}
    assert verdicts([said[0], said[2]]) == {key: 0}
    assert verdicts([an_event("5", judgement={"kind": "skip"})]) == {}
    assert verdicts([an_event("6", judgement={"kind": "ranking", "ranks": (None, 3)})]) == {key: -1}


def test_only_pairs_that_both_judged_are_compared(an_event: Make) -> None:
    def both(number: int, person: int | None, model: int | None) -> list[FeedbackEvent]:
        asked = {"row": f"r{number}", "prompt": f"question {number}"}
        mine, its = ({"kind": "choice", "chosen": one} for one in (person, model))
        return [
            an_event(f"p{number}", judgement=mine, **asked),
            an_event(f"m{number}", judgement=its, **asked, **AI),
        ]

    events = [*both(1, 0, 0), *both(2, 1, 1), *both(3, 0, 1), *both(4, None, None)]
    alone = an_event("alone", prompt="another", judgement={"kind": "choice", "chosen": 0}, **AI)
    simulated = an_event("s", prompt="another", source="simulated", simulated=True, created_at=None)
    found = agree([*events, alone, simulated], seed=0)
    assert found is not None
    assert (found.pairs, found.questions, found.raw) == (4, 4, 0.75)
    # People said first, second, first, tie; the model first, second, second, tie.
    # e = (2/4 x 1/4) + (1/4 x 2/4) + (1/4 x 1/4) = 5/16; kappa = (12/16 - 5/16) / (11/16).
    assert found.kappa == pytest.approx(7 / 11)
    assert found.raw_interval[0] < 0.75 < found.raw_interval[1] <= 1
    assert found.kappa_interval is not None
    assert found.kappa_interval[0] < 7 / 11 < found.kappa_interval[1] <= 1


def test_an_interval_needs_two_questions_and_resamples_whole_questions() -> None:
    one = {("q", "a", str(n)): (1, 1) for n in range(9)}
    assert agreement_of(one, seed=0) is None
    two = one | {("r", "a", str(n)): (1, -1) for n in range(9)}
    found = agreement_of(two, seed=0)
    assert found is not None
    # Two questions, one all right and one all wrong: a resample has none, half or all of the pairs right.
    assert found.raw == 0.5
    assert found.raw_interval == (0.0, 1.0)


def test_kappa_is_not_given_where_it_is_undefined() -> None:
    found = agreement_of({("q", "a", "b"): (1, 1), ("r", "a", "b"): (1, 1)}, seed=0)
    assert found is not None
    assert (found.raw, found.kappa, found.kappa_interval) == (1.0, None, None)
