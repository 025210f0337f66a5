"""Judging by a model: both orders, ties, and what cannot be read. The models are scripts."""

import re
from collections.abc import Sequence

import pytest

from configs.principles import Principle
from tasks.feedback.ai_agreement import conduct
from tasks.feedback.ai_judge import (
    Judge,
    Messages,
    Pairing,
    Weighed,
    judge_in_letters,
    judge_in_words,
    judge_pairs,
    pairings_of,
    read_verdict,
    verdict_of,
    weigh_pairs,
)
from tasks.feedback.events import Shown
from tasks.feedback.judgements import Choice, Skip
from tasks.ml.rows import Row, VerdictCheck

PRINCIPLES = (
    Principle(name="true", critique="Look.", revision="Mend it.", judging="Which one is true?"),
    Principle(name="short", critique="Count.", revision="Cut it.", judging="Which one is short?"),
)


def shown(text: str) -> Shown:
    return Shown(text=text, model="m", stopped=True)


def pair(first: str, second: str, row: str = "q") -> Pairing:
    return Pairing(row, "lookup", f"What of {row}?", shown(first), shown(second))


def answers_in(chat: Messages) -> tuple[str, str]:
    """What stands as A and as B before the judge."""
    found = re.findall(r"^Answer [AB]: (.*)$", chat[-1]["content"], re.MULTILINE)
    return found[0], found[1]


def always_first(chats: Sequence[Messages]) -> list[str]:
    return ["A" for _ in chats]


def prefers_longer(chats: Sequence[Messages]) -> list[str]:
    replies = []
    for chat in chats:
        a, b = map(len, answers_in(chat))
        replies.append("A" if a > b else "B" if b > a else "T")
    return replies


def mumbles(chats: Sequence[Messages]) -> list[str]:
    """Unreadable whenever the long answer is shown first."""
    return ["Both have merits." if len(answers_in(chat)[0]) > 4 else "B" for chat in chats]


def chosen(judge: Judge, *pairings: Pairing) -> list[int | None | str]:
    events = judge_pairs(judge, pairings, PRINCIPLES)
    return [
        event.judgement.chosen if isinstance(event.judgement, Choice) else event.judgement.kind
        for event in events
    ]


def test_a_judge_that_always_says_first_ties_everything_and_is_found_out() -> None:
    judge = judge_in_words("ai-first", always_first)
    pairings = [pair("good", "bad", f"q{n}") for n in range(5)]
    assert chosen(judge, *pairings) == [None] * 5
    found = conduct(judge_pairs(judge, pairings, PRINCIPLES))
    assert (found.judged, found.ties, found.unreadable) == (5, 5, 0)
    assert (found.swayed, found.swayed_to_first, found.swayed_share) == (5, 5, 1.0)


def test_a_judge_that_knows_is_right_in_either_order() -> None:
    judge = judge_in_words("ai-long", prefers_longer)
    assert chosen(judge, pair("longer", "no"), pair("no", "longer"), pair("same", "size")) == [0, 1, None]
    assert conduct(judge_pairs(judge, [pair("longer", "no")], PRINCIPLES)).swayed == 0


@pytest.mark.parametrize("ask", [always_first, prefers_longer])
def test_equal_answers_always_tie(ask) -> None:
    assert chosen(judge_in_words("ai", ask), pair("same", "same")) == [None]


def test_what_cannot_be_read_in_one_order_is_no_judgement() -> None:
    judge = judge_in_words("ai-mumbles", mumbles)
    events = judge_pairs(judge, [pair("longer", "no"), pair("no", "x")], PRINCIPLES)
    assert [event.judgement for event in events] == [Skip(), Choice(chosen=None)]
    found = conduct(events)
    assert (found.judged, found.unreadable, found.ties, found.swayed_to_first) == (2, 1, 1, 0)
    assert found.swayed_share == 1.0


def test_a_bias_for_a_place_cancels_exactly_in_log_odds() -> None:
    # 3 nats for whatever stands first, and 0.25 for each letter that an answer is longer.
    def odds(chats: Sequence[Messages]) -> list[float]:
        return [3.0 + 0.25 * (len(a) - len(b)) for a, b in map(answers_in, chats)]

    judge = judge_in_letters("ai-odds", odds, tie_band=0.25)
    pairings = [pair("abc", "a"), pair("a", "abc"), pair("ab", "a"), pair("same", "same")]
    weighed = weigh_pairs(judge, pairings, PRINCIPLES)
    assert [one.mean for one in weighed] == [0.5, -0.5, 0.25, 0.0]
    assert [one.favoured_place for one in weighed] == [0, 0, 0, 0]
    assert chosen(judge, *pairings) == [0, 1, None, None]


def test_equal_answers_weigh_the_same_whatever_a_model_says_the_second_time() -> None:
    """A model's log-odds differ in the last bit between batches; asked twice, equal answers did not tie."""
    said = iter(range(1, 100))
    judge = judge_in_letters("ai-drifts", lambda chats: [float(next(said)) for _ in chats], tie_band=0)
    assert chosen(judge, pair("same", "same")) == [None]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("A", 1.0),
        (" b.", -1.0),
        ("**B**", -1.0),
        ("T", 0.0),
        ("Tie", 0.0),
        ("Answer: A", 1.0),
        ("The better answer is B.", -1.0),
        ("Both state 12 g.\n\nVerdict: A", 1.0),
        ("B\nIt is shorter than A.", -1.0),
        ("", None),
        ("A is better than B", None),
        ("A good answer", None),
        ("C", None),
        ("AB", None),
    ],
)
def test_verdicts_in_words(reply: str, verdict: float | None) -> None:
    assert read_verdict(reply) == verdict


def test_a_verdict_at_the_edge_of_the_band_is_a_tie() -> None:
    assert verdict_of(Weighed(0.5, 0.5), 0.5) == Choice(chosen=None)
    assert verdict_of(Weighed(0.5, 0.52), 0.5) == Choice(chosen=0)
    assert verdict_of(Weighed(-0.5, -0.52), 0.5) == Choice(chosen=1)
    assert verdict_of(Weighed(None, 9.0), 0.5) == Skip()


def test_an_event_says_that_no_person_made_it_and_keeps_both_orders() -> None:
    judge = judge_in_letters("ai-odds", lambda chats: [0.5 * n for n, _ in enumerate(chats)], tie_band=0)
    (event,) = judge_pairs(judge, [pair("one", "two")], PRINCIPLES)
    assert (event.source, event.simulated, event.annotator) == ("ai", True, "ai-odds")
    assert event.comparison is None  # it must not use up the judgements that are wanted of people
    assert Weighed.from_comment(event.comment) == Weighed(0.0, -0.5)
    assert Weighed.from_comment("well said") is None
    assert Weighed.from_comment("[1]") is None


def test_the_id_depends_on_judge_and_principles_but_not_on_the_order() -> None:
    judge, other = (judge_in_words(name, always_first) for name in ("ai-1", "ai-2"))
    id = judge_pairs(judge, [pair("x", "y")], PRINCIPLES)[0].id
    assert judge_pairs(judge, [pair("y", "x")], PRINCIPLES)[0].id == id
    assert judge_pairs(other, [pair("x", "y")], PRINCIPLES)[0].id != id
    assert judge_pairs(judge, [pair("x", "y")], PRINCIPLES[:1])[0].id != id


def test_pairs_are_drawn_without_repetition() -> None:
    row = Row(
        id="r",
        task="t",
        groups=(),
        split="train",
        context="Facts.",
        question="Why?",
        answer="So.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=True),
    )
    answers = [shown(letter) for letter in "abcd"]
    every = pairings_of(row, answers, 9, seed=1)
    assert len({frozenset((one.first.text, one.second.text)) for one in every}) == len(every) == 6
    assert pairings_of(row, answers, 2, seed=1) == every[:2]
    assert every[0].prompt == "Facts.\nWhy?"
