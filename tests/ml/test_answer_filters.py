"""Which answers of the teacher survive, by hand-made answers and phrases."""

import pytest

from configs.schema_label import LabelConfig
from tasks.ml.answer_filters import Candidate, dropped_by, filter_chain, is_refusal
from tasks.ml.rows import NumberCheck

ENERGY = NumberCheck(value=717, unit="kcal", relative_tolerance=0.01, pick="last")
GOOD = "Butter has 717 kcal per 100 g."

REFUSED = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist with that request.",
    "Sorry, I cannot provide medical advice.",
    "I cannot answer this question.",
    "I can't in good conscience give instructions for that.",
    "Unfortunately, I am unable to provide this information.",
    "I am not able to discuss how to kill a Python process.",
    "I won't help you blow up a balloon.",
    "We are unable to assist you here.",
    "As an AI, I do not eat butter.",
    "As a large language model, I have no opinion on that.",
    "I am just an AI and have no access to labels.",
    "I must decline.",
    "I must respectfully decline to answer.",
    "I have to refuse this.",
    "I don't feel comfortable with this question.",
    "I'm not comfortable with helping you shoot a photo of her.",
    "That goes against my guidelines.",
    "It violates our content policy.",
    "I do not have access to the facts.",
    "I don't have enough information to say.",
    "I'm really sorry, but that is something I have to leave alone.",
    "The question is a hard one, but I can't answer it.",
    "I cannot\nhelp.",
    "I will not generate that.",
    "I'm sorry, I'm not able with such a topic.",
]
ANSWERED = [
    GOOD,
    "No, butter cannot be recommended on a low-fat diet.",
    "I would not recommend butter here, because it has 51 g of fat.",
    "I wouldn't advise eating it every day.",
    "Sorry to say, butter is rich in fat.",
    "You can't get much protein from butter: 0.9 g per 100 g.",
    "Butter does not provide fibre.",
    "It will not help to meet your need for iron.",
    "To kill a Python process, press Ctrl-C.",
    "I can help: butter has 717 kcal.",
    "I could eat 30 g, which is 215 kcal.",
    "The label must give the sodium, which is 643 mg.",
    "Someone who is unable to digest lactose may eat butter.",
    "This is against the advice for a low-sodium diet.",
    "Yes, ask a clinician first. I cannot say more than that it has 643 mg of sodium.",
    "An AI would say 717 kcal.",
    "Guidelines allow 2,000 mg of sodium a day.",
]


@pytest.mark.parametrize("text", REFUSED)
def test_an_assistant_that_declines_is_recognised(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERED)
def test_an_answer_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


@pytest.fixture
def label(config) -> LabelConfig:
    return config.label


def fate(config, make_row, text: str, stopped: bool = True, **changes) -> str | None:
    chain = filter_chain(config.model_copy(update=changes))
    return dropped_by(chain, Candidate(make_row(check=ENERGY), text, stopped))


@pytest.mark.parametrize(
    ("text", "stopped", "expected"),
    [
        (GOOD, True, None),
        ("", True, "length"),
        ("717kcal", True, "length"),
        ("it has fat " * 2 + "it has 717 kcal", True, None),
        # "has a lot it" comes three times.
        ("it has a lot it has a lot it has a lot it has 717 kcal", True, "repetition"),
        (GOOD, False, "stopped"),
        ("Butter has 900 kcal.", True, "facts"),
        ("Butter has 900 kcal.", False, "stopped"),
        ("I cannot answer that.", True, "facts"),
    ],
)
def test_the_default_chain(make_row, label, text: str, stopped: bool, expected: str | None) -> None:
    assert fate(label, make_row, text, stopped) == expected


def test_the_first_filter_of_the_chain_counts(make_row, label) -> None:
    text = "I cannot answer that."
    assert fate(label, make_row, text, False, filters=("facts", "refusal", "stopped")) == "facts"
    assert fate(label, make_row, text, False, filters=("refusal", "stopped", "facts")) == "refusal"
    assert fate(label, make_row, text, False, filters=("stopped",)) == "stopped"
    assert fate(label, make_row, text, False, filters=()) is None


@pytest.mark.parametrize(("words", "expected"), [(2, "length"), (3, None), (5, None), (6, "length")])
def test_the_bounds_of_the_length_are_inside(make_row, label, words: int, expected: str | None) -> None:
    bounds = {"filters": ("length",), "min_words": 3, "max_words": 5}
    assert fate(label, make_row, "word " * words, **bounds) == expected


@pytest.mark.parametrize(("bound", "expected"), [(0.39, "repetition"), (0.4, None)])
def test_the_share_of_repeated_3_grams_is_bounded(make_row, label, bound: float, expected: str) -> None:
    # 3-grams: abc bca cab | abc bca: two of five were said before.
    text = "a b c a b c a"
    assert fate(label, make_row, text, filters=("repetition",), max_repetition=bound) == expected
