"""Numbers as readers of a language write them, and messages that both languages have."""

import re
from datetime import datetime
from string import Formatter

import pytest

from tasks.ml.closing import LINES, METHODS, MODELS
from tasks.reporting.doubts import _RULES
from tasks.reporting.words import LANGUAGES, TEMPLATES, Words, messages
from tasks.reporting.writing import Writer


@pytest.mark.parametrize(
    ("value", "unit", "english", "french"),
    [
        (0.123, "share", "12.3 %", "12,3 %"),
        (1.0, "share", "100.0 %", "100,0 %"),
        (-0.0001, "share", "0.0 %", "0,0 %"),
        (44_312_000, "parameters", "44.3M", "44,3 M"),
        (1234, "", "1,234", "1 234"),
        (2.0, "per token", "2.00", "2,00"),
        (2.0, "", "2", "2"),
        (0.0, "words", "0.00", "0,00"),
        (-3.14159, "words", "−3.14", "−3,14"),
        (0.0456, "", "0.046", "0,046"),
        (0.0000123, "", "1.2E−5", "1,2E−5"),
    ],
)
def test_a_value_in_both_languages(value: float, unit: str, english: str, french: str) -> None:
    for language, expected in (("en", english), ("fr", french)):
        text = Writer(language).number(value, unit)
        assert text.replace("\u202f", " ").replace("E-", "E−") == expected
        assert " " not in text


def test_signs_probabilities_definitions_and_days() -> None:
    assert Writer("fr").signed(0.0131, "share") == "+1,3\u202f%"
    assert Writer("en").signed(-0.0131, "share") == "−1.3\u202f%"
    assert Writer("fr").probability(0.0004) == "<\u202f0,001"
    assert Writer("en").probability(0.04) == "0.040"
    assert Writer("fr").exact(0.95, "share") == "95\u202f%"
    assert Writer("fr").exact(0.05) == "0,05"
    assert Writer("fr").date(datetime(2026, 11, 3)) == "3 novembre 2026"


def gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_the_languages_have_the_same_messages_with_the_same_gaps() -> None:
    english, *others = (messages(language) for language in LANGUAGES)
    for other in others:
        assert english.keys() == other.keys()
        assert {key for key in english if gaps(english[key]) != gaps(other[key])} == set()
        same = {key for key in english if len(english[key]) > 25 and english[key] == other[key]}
        assert same == set()


def test_no_message_holds_a_number() -> None:
    texts = [text for language in LANGUAGES for text in messages(language).values()]
    assert len(texts) > 400
    assert [text for text in texts if re.search(r"\d", re.sub(r"{\w+}", "", text))] == []


def test_everything_that_is_asked_for_by_name_has_a_message() -> None:
    known = messages("en")
    template = (TEMPLATES / "report.html").read_text() + (TEMPLATES / "card.md").read_text()
    asked = set(re.findall(r"say\([\"']([\w.]+)[\"'][,)]", template))
    asked |= {f"doubt.{rule}" for rule in _RULES} | {"doubt.strict_above_loose"}
    asked |= {f"metric.{metric}" for metric, *_ in LINES} | {f"model.{model}" for model in MODELS}
    assert asked - known.keys() == set()
    assert METHODS


def test_a_metric_that_nobody_named_is_shown_as_it_stands() -> None:
    words = Words("fr")
    assert words.measured("strange_thing", "kg") == "strange thing (kg)"
    assert words.measured("words", "words") == "mots par réponse"
    assert words.metric("accuracy_lookup") == "exactitude\u202f: lecture"
