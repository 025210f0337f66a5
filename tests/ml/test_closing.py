"""The closing table: which cells it has and how they read."""

import pytest

from tasks.ml.closing import MODELS, closing_rows, not_people, shortened, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (412, "412"),
        (1234, "1.23 k"),
        (44_187_000, "44.2 M"),
        (2.5e9, "2.5 G"),
        (999.4, "999"),
        # Rounding up to the next unit was written as "1e+03".
        (999.7, "1 k"),
        (999_700, "1 M"),
        (0, "0"),
        (-1500, "-1.5 k"),
    ],
)
def test_large_numbers_have_three_digits(value: float, text: str) -> None:
    assert shortened(value) == text


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("percent", 0.1234, "12.3 % [11.3, 13.3]"),
        ("number", 1.234, "1.23 [1.22, 1.24]"),
        ("number", 12345.0, "12.3 k [12.3 k, 12.3 k]"),
        ("count", 44.2e6, "44.2 M"),
        ("single", 0.12345, "0.123"),
    ],
)
def test_a_value_is_written_with_its_interval(form: str, value: float, text: str) -> None:
    assert written({"value": value, "low": value - 0.01, "high": value + 0.01}, form) == text


def test_nothing_is_written_as_nothing() -> None:
    assert written(None, "percent") == ""


def test_a_row_for_each_metric_that_somebody_has() -> None:
    figures = [
        {"metric": "words", "model": "aligned", "value": 9.0, "low": 8.0, "high": 10.0},
        {"metric": "accuracy", "model": "distilled", "value": 0.5, "low": 0.4, "high": 0.6},
        {"metric": "unknown", "model": "distilled", "value": 0.5, "low": 0.4, "high": 0.6},
    ]
    rows = closing_rows(figures)
    assert [row["label"] for row in rows] == ["accuracy", "words an answer"]
    assert rows[0]["cells"] == ["50.0 % [40.0, 60.0]" if model == "distilled" else "" for model in MODELS]
    assert rows[1]["cells"] == ["9.00 [8.00, 10.00]" if model == "aligned" else "" for model in MODELS]


@pytest.mark.parametrize(
    ("feedback", "makers"),
    [
        ({"simulated": 0}, ""),
        ({"simulated": 9}, "simulated annotators"),
        ({"simulated": 9, "ai_judged": 7, "ai_revised": 2}, "a model (AI feedback)"),
        ({"simulated": 9, "ai_judged": 7, "ai_revised": 1}, "simulated annotators and a model (AI feedback)"),
    ],
)
def test_who_judged_in_people_s_stead_is_said(feedback: dict[str, int], makers: str) -> None:
    assert not_people(feedback) == makers
