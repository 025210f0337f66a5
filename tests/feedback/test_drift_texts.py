"""From questions and feedback to what drift is measured on, by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.feedback.drift_texts import alike, context_of, rates_of, texts_of
from tasks.feedback.events import FeedbackEvent
from tasks.ml.rows import Row, VerdictCheck

Make = Callable[..., FeedbackEvent]


def question(number: int) -> Row:
    return Row(
        id=f"row-{number}",
        task="lookup",
        groups=(),
        split="train",
        context="Facts per 100 g.\nButter: energy 717 kcal",
        question=f"Is it rich, {number}?",
        answer="Yes.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=True),
    )


def answers(count: int) -> list[dict[str, Any]]:
    return [{"text": f"answer {place}", "model": "m", "stopped": True} for place in range(count)]


def counts_of(event: FeedbackEvent) -> dict[str, tuple[float, float]]:
    rates = rates_of([event])
    assert rates is not None
    return {name: (counted[0], of[0]) for name, (counted, of) in rates.counts.items()}


def test_each_prompt_comes_once_with_its_task_and_its_context(an_event: Make) -> None:
    prompt = "Facts per 100 g.\nButter: energy 717 kcal\nIs it rich, 1?"
    events = [
        an_event("1", prompt=prompt, task="other"),
        an_event("2", prompt=prompt, annotator="ben"),
        an_event("3", prompt="How are you?"),
    ]
    texts = texts_of(events, [question(0), question(1)])
    assert texts.prompts == (prompt.replace("1?", "0?"), prompt, "How are you?")
    assert texts.tasks == ("lookup", "lookup", "")
    facts = "Facts per 100 g.\nButter: energy 717 kcal"
    assert texts.units == (facts, facts, "How are you?")
    assert texts.rates is not None
    assert texts.rates.units == (facts, facts, "How are you?")


def test_a_prompt_of_one_line_is_its_own_context() -> None:
    assert context_of("One line.") == "One line."
    assert context_of("a\nb\nc") == "a\nb"
    assert context_of("\nb") == "\nb"


@pytest.mark.parametrize(
    ("shown", "judgement", "wanted"),
    [
        # Of four answers one is F; of the three pairs of the others one ties.
        (4, {"kind": "ranking", "ranks": (1, 2, 2, None)}, {"fails": (1, 4), "ties": (1, 3)}),
        (2, {"kind": "choice", "chosen": None}, {"ties": (1, 1)}),
        (2, {"kind": "choice", "chosen": 1}, {"ties": (0, 1)}),
        (3, {"kind": "ratings", "ratings": (4, 4, 4)}, {"ties": (3, 3)}),
        (3, {"kind": "thumbs", "up": (True, False, False)}, {"thumbs_down": (2, 3)}),
        (2, {"kind": "skip"}, {"skips": (1, 1)}),
        (1, {"kind": "correction", "corrected": 0, "text": "better"}, {"ties": (0, 1)}),
    ],
)
def test_what_is_counted_of_a_judgement(
    an_event: Make, shown: int, judgement: dict[str, Any], wanted: dict[str, tuple[int, int]]
) -> None:
    nothing = {"fails": (0, 0), "ties": (0, 0), "thumbs_down": (0, 0), "skips": (0, 1)}
    event = an_event("1", answers=answers(shown), judgement=judgement)
    assert counts_of(event) == nothing | wanted


def test_the_same_text_twice_cannot_tie(an_event: Make) -> None:
    twice = [*answers(1), *answers(1)]
    assert counts_of(an_event("1", answers=twice, judgement={"kind": "choice", "chosen": None}))["ties"] == (
        0,
        0,
    )


def test_without_events_there_are_no_rates() -> None:
    assert rates_of([]) is None
    assert texts_of([], [question(1)]).rates is None


def test_people_are_compared_with_people(an_event: Make) -> None:
    simulated = an_event("1", source="simulated", simulated=True, created_at=None)
    judged_by_ai = an_event("2", source="ai", simulated=True)
    person = an_event("3")
    earlier = [simulated, judged_by_ai, person]
    assert alike(earlier, [an_event("4")]) == [person]
    assert alike(earlier, [an_event("4"), an_event("5", source="ai", simulated=True)]) == [
        judged_by_ai,
        person,
    ]
    assert alike([simulated], [an_event("4")]) == []
