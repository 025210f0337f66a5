"""Columns of answers: forecasts in the unit asked, certainty beside truth, win rates."""

import numpy as np
import pytest

from tasks.ml.answer_columns import confidence_columns, forecast_columns, rubric_columns, text_columns
from tasks.ml.calibration import calibration_error, reliability_of
from tasks.ml.columns import Column, Contexts
from tasks.ml.evaluation import Answers
from tasks.ml.rows import NumberCheck, Row
from tasks.ml.rubric import judge, stated_number


def kcal(value: float) -> NumberCheck:
    return NumberCheck(value=value, unit="kcal", relative_tolerance=0.1, pick="last")


def answered(rows, texts, confidence) -> Answers:
    judgements = [judge(row, text, True) for row, text in zip(rows, texts, strict=True)]
    return Answers(texts, [(1,)] * len(texts), judgements, np.array(confidence))


@pytest.fixture
def rows(make_row):
    asked = [make_row(task="forecast", check=kcal(value)) for value in (200, 50, 80)]
    return [*asked, make_row(task="lookup", check=kcal(7))]


def test_forecasts_are_off_in_the_unit_asked_and_silence_counts_as_zero(rows) -> None:
    texts = ["100 kcal times 2 is 190 kcal.", "It is 60 kcal.", "I cannot say.", "7 kcal"]
    found = {c.metric: c for c in forecast_columns({"m": answered(rows, texts, [0.5] * 4)}, rows)}
    assert found["forecast_error"].values["m"].tolist() == [10, 10, 80, 0]
    assert found["forecast_error"].unit == "kcal"
    assert found["forecast_error"].better == "lower"
    assert found["forecast_error"].weights.tolist() == [1, 1, 1, 0]
    # 10 of 200 is 5 %, 10 of 50 is 20 %.
    assert found["forecast_within_10"].values["m"].tolist() == [1, 0, 0, 0]
    assert found["forecast_stated"].values["m"].tolist() == [1, 1, 0, 0]


def test_without_forecasts_there_are_no_columns_of_them(make_row) -> None:
    rows = [make_row(task="forecast"), make_row(task="lookup", check=kcal(7))]
    assert list(forecast_columns({"m": answered(rows, ["a b", "c d"], [0.5, 0.5])}, rows)) == []


def test_a_number_is_read_as_the_rubric_reads_it() -> None:
    assert stated_number(kcal(200), "It has 177 kcal per 100 g, so 354 kcal.") == 354
    assert stated_number(kcal(200), "Less than 500 kcal.") is None
    assert stated_number(kcal(200), "nothing") is None
    assert stated_number(kcal(200), "9" * 400 + " kcal") is None


def test_a_brier_score_is_the_squared_error_of_the_confidence(rows) -> None:
    own = answered(rows, ["200 kcal", "50 kcal", "9 kcal", "9 kcal"], [0.9, 0.6, 0.5, 0.2])
    contexts = np.array([0, 1, 2, 3])
    found = {c.metric: c for c in confidence_columns({"m": own}, contexts)}
    assert own.correct.tolist() == [1, 1, 0, 0]
    assert found["brier"].values["m"] == pytest.approx([0.01, 0.16, 0.25, 0.04])
    # Four answers are four bins: the mean of 0.1, 0.4, 0.5 and 0.2.
    own_error = found["calibration_error"]
    mean = (own_error.values["m"] * own_error.weights).sum() / own_error.weights.sum()
    assert mean == pytest.approx(0.3)


def test_bins_hold_equally_many_and_know_their_ends() -> None:
    certainty = np.array([0.9, 0.1, 0.5, 0.7])
    bins = reliability_of(certainty, np.array([1.0, 0.0, 1.0, 0.0]), 2)
    assert [(b.count, b.low, b.high) for b in bins] == [(2, 0.1, 0.5), (2, 0.7, 0.9)]
    assert [b.certainty for b in bins] == pytest.approx([0.3, 0.8])
    assert [b.right for b in bins] == [0.5, 0.5]
    assert calibration_error(bins) == pytest.approx((0.2 + 0.3) / 2)


def test_a_model_that_was_asked_less_has_the_figures_of_what_it_was_asked(rows) -> None:
    contexts = np.arange(len(rows))
    texts = ["200 kcal", "50 kcal, or so.", "9 kcal", "7 kcal"]
    full = answered(rows, texts, [0.9, 0.6, 0.5, 0.2])
    part = answered(rows[:-1], texts[:-1], [0.9, 0.6, 0.5])
    measured = {one.metric: one for one in columns_of({"full": full, "part": part}, rows, contexts)}
    for one in columns_of({"part": part}, rows[:-1], contexts[:-1]):
        column = measured[one.metric]
        own = column.asked("part")
        assert own[-1] == 0
        assert own[:-1].tolist() == one.weights.tolist()
        assert column.values["part"][:-1] == pytest.approx(one.values["part"], nan_ok=False)
        assert np.isnan(column.values["part"][-1])


def columns_of(answers: dict[str, Answers], rows: list[Row], contexts: Contexts) -> list[Column]:
    """All columns that are made of answers."""
    return [
        *rubric_columns(answers, rows),
        *forecast_columns(answers, rows),
        *text_columns(answers, rows, contexts),
        *confidence_columns(answers, contexts),
    ]


def test_accuracy_of_a_family_leaves_the_others_out(rows) -> None:
    own = answered(rows, ["200 kcal", "9 kcal", "80 kcal", "9 kcal"], [0.5] * 4)
    found = {c.metric: c for c in rubric_columns({"m": own}, rows)}
    assert found["accuracy"].values["m"].tolist() == [1, 0, 1, 0]
    assert found["accuracy_forecast"].weights.tolist() == [1, 1, 1, 0]
    assert found["accuracy_lookup"].weights.tolist() == [0, 0, 0, 1]
    assert found["gold_win_rate"].margin == 0.02
    assert found["words"].better is None
