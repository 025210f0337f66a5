"""The task mixture: gold answers that the rubric accepts, wrong ones that it refuses, splits that hold."""

from collections import Counter
from pathlib import Path

import pytest

from tasks.ml.cleaning import split_of
from tasks.ml.facts import BY_LABEL, Food, load_foods, show_amount
from tasks.ml.questions import CLINICIAN, FAMILIES, Sheet, Style, make_rows, make_sheets
from tasks.ml.rows import ChoiceCheck, NumberCheck, Row, VerdictCheck
from tasks.ml.rubric import is_correct, judge
from tasks.ml.seeding import random_for

TABLE = Path(__file__).parents[2] / "configs" / "data" / "usda_foods.csv"
STYLES = {
    "plain": Style(0, 0),
    "wordy": Style(1, 0),
    "clinician": Style(0, 1),
    "wordy clinician": Style(1, 1),
}


@pytest.fixture(scope="module")
def foods() -> list[Food]:
    return load_foods(TABLE)


def drawn_rows(foods: list[Food], style: Style, sheets: int = 250) -> list[Row]:
    return [
        row
        for shown, nutrients in ((1, 6), (2, 4))
        for sheet in make_sheets(foods, sheets, shown, nutrients, "test")
        for row in make_rows(sheet, "train", list(FAMILIES), style, seed=5)
    ]


def spoilt(row: Row) -> str:
    """The gold answer with its conclusion changed, the rest as it was."""
    assert row.answer is not None
    match row.check:
        case ChoiceCheck(right=right, wrong=wrong):
            return row.answer.replace(f"so {right}.", f"so {wrong}.")
        case VerdictCheck(yes=yes):
            return row.answer.replace("so yes.", "so no.") if yes else row.answer.replace("so no.", "so yes.")
        case NumberCheck(value=value, unit=unit):
            shown, other = f" {show_amount(value)} {unit}", f" {show_amount(value * 1.5 + 1)} {unit}"
            head, found, tail = f" {row.answer}".rpartition(shown)
            assert found, row.answer
            return (head + other + tail).strip()
    raise AssertionError(row.check)


@pytest.mark.parametrize("style", STYLES)
def test_every_gold_answer_is_right_and_a_spoilt_one_is_wrong(foods: list[Food], style: str) -> None:
    rows = drawn_rows(foods, STYLES[style])
    assert Counter(row.task for row in rows).keys() == FAMILIES.keys()
    for row in rows:
        if row.task == "open":
            assert row.answer is None
            continue
        assert row.answer is not None
        judgement = judge(row, row.answer, stopped=True)
        assert judgement.correct, row
        assert not judgement.failed, row
        wrong = spoilt(row)
        assert wrong != row.answer, row
        assert not is_correct(row.check, wrong), (wrong, row)


def test_a_gold_answer_belongs_to_its_own_question(foods: list[Food]) -> None:
    # Another food's number must not pass by chance, or accuracy would say nothing.
    rows = [row for row in drawn_rows(foods, STYLES["plain"]) if row.task == "lookup"]
    passed = [is_correct(row.check, other.answer or "") for row, other in zip(rows, rows[1:], strict=False)]
    assert sum(passed) / len(passed) < 0.1


def test_only_medical_answers_point_to_a_clinician_in_the_share_asked_for(foods: list[Food]) -> None:
    rows = [row for row in drawn_rows(foods, Style(0.5, 0.3)) if row.answer]
    medical = [row for row in rows if row.medical]
    assert {row.task for row in medical} == {"suitability"}
    assert not any(CLINICIAN in (row.answer or "") for row in rows if not row.medical)
    assert sum(CLINICIAN in (row.answer or "") for row in medical) / len(medical) == pytest.approx(
        0.3, abs=0.08
    )
    wordy = sum(judge(row, row.answer or "", True).brevity < 1 for row in rows) / len(rows)
    assert wordy == pytest.approx(0.5, abs=0.06)


def test_the_same_draw_gives_the_same_rows_and_another_seed_others(foods: list[Food]) -> None:
    [sheet] = make_sheets(foods, 1, 2, 4, "test")
    rows = make_rows(sheet, "train", list(FAMILIES), Style(0.5, 0.5), seed=5)
    assert make_rows(sheet, "train", list(FAMILIES), Style(0.5, 0.5), seed=5) == rows
    assert make_rows(sheet, "train", list(FAMILIES), Style(0.5, 0.5), seed=6) != rows
    assert make_sheets(foods, 9, 1, 4, "test", 1) == make_sheets(foods, 9, 1, 4, "test", 1)
    assert make_sheets(foods, 9, 1, 4, "test", 1) != make_sheets(foods, 9, 1, 4, "test", 2)


def test_ids_are_unique_though_foods_come_again(foods: list[Food]) -> None:
    # With more sheets than foods a food comes again with other nutrients; its questions then had the ids
    # of the first time, and cleaning died of the second.
    rows = [
        row
        for sheet in make_sheets(foods[:20], 60, 1, 6, "test")
        for row in make_rows(sheet, "train", ["lookup", "lookup", "open"], STYLES["plain"], seed=5)
    ]
    assert len({row.context for row in rows}) > 20
    contexts = {}
    for row in rows:
        assert contexts.setdefault(row.id, row.context) == row.context


def test_sheets_show_energy_and_every_food_before_any_comes_again(foods: list[Food]) -> None:
    sheets = make_sheets(foods[:10], 10, 2, 4, "test")
    for start in (0, 5):
        assert len({food.name for sheet in sheets[start : start + 5] for food in sheet.foods}) == 10
    for sheet in sheets:
        assert len({nutrient.label for nutrient in sheet.nutrients}) == 4
        assert BY_LABEL["energy"] in sheet.nutrients
    assert len({sheet.nutrients.index(BY_LABEL["energy"]) for sheet in sheets}) > 1


def test_rows_carry_their_sheets_foods_and_text(foods: list[Food]) -> None:
    for sheet in make_sheets(foods, 20, 2, 4, "test"):
        for row in make_rows(sheet, "valid", list(FAMILIES), STYLES["plain"], seed=5):
            assert row.groups == tuple(food.name for food in sheet.foods)
            assert row.context == sheet.text
            assert row.split == "valid"


def test_a_sheet_states_each_amount_with_its_unit() -> None:
    milk = Food("Milk", "Dairy", {"energy": 61.0, "fat": 3.3})
    sheet = Sheet((milk,), (BY_LABEL["fat"], BY_LABEL["energy"]))
    assert sheet.text == "Facts per 100 g.\nMilk: fat 3.3 g, energy 61 kcal"


def test_a_food_has_one_split_whatever_the_other_foods(foods: list[Food]) -> None:
    splits = {food.name: split_of(food.name, 0.05, 0.15) for food in foods}
    shares = Counter(splits.values())
    assert shares["test"] / len(foods) == pytest.approx(0.15, abs=0.02)
    assert shares["valid"] / len(foods) == pytest.approx(0.05, abs=0.02)
    assert split_of("  BUTTER ", 0.05, 0.15) == split_of("butter", 0.05, 0.15)


def two(first: float, second: float) -> Sheet:
    foods = (Food("A", "", {"energy": first}), Food("B", "", {"energy": second}))
    return Sheet(foods, (BY_LABEL["energy"],))


@pytest.mark.parametrize(
    ("first", "second", "right"),
    [(100, 120, "B"), (120, 100, "A"), (100, 105, None), (0, 0, None), (0, 0.2, "B")],
)
def test_foods_too_close_to_call_are_not_compared(first: float, second: float, right: str | None) -> None:
    draft = FAMILIES["comparison"](two(first, second), random_for("draw"))
    assert (None if draft is None else draft.check.right) == right  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("family", "label", "amount", "yes"),
    [
        ("good_source", "fibre", 2.8, True),
        ("good_source", "fibre", 2.7, False),
        ("good_source", "iron", 1.8, True),
        ("good_source", "vitamin C", 8.9, False),
        ("suitability", "sodium", 140, True),
        ("suitability", "sodium", 141, False),
        ("suitability", "saturated fat", 1.6, False),
        ("suitability", "sugars", 5, True),
        ("suitability", "potassium", 201, False),
    ],
)
def test_thresholds_are_those_of_the_regulations(family: str, label: str, amount: float, yes: bool) -> None:
    # A tenth of 28 g of fibre is 2.8000000000000003 in floating point: foods with 2.8 g were no good source
    # of it, and their gold answers said that 2.8 g is less than 2.8 g.
    sheet = Sheet((Food("A", "", {label: float(amount)}),), (BY_LABEL[label],))
    draft = FAMILIES[family](sheet, random_for("draw"))
    assert draft is not None
    assert draft.check == VerdictCheck(yes=yes)


def test_what_a_sheet_cannot_answer_is_passed_over() -> None:
    sheet = Sheet((Food("A", "", {"fat": 3.0}),), (BY_LABEL["fat"],))
    rows = make_rows(sheet, "train", list(FAMILIES), STYLES["plain"], seed=5)
    assert [row.task for row in rows] == ["lookup", "open"]
