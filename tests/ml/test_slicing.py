"""Slices: which questions are in them, and that too few contexts are none."""

import numpy as np
import pytest

from tasks.ml.columns import Column, Sample
from tasks.ml.facts import load_foods
from tasks.ml.food_groups import OTHER, food_group
from tasks.ml.metrics import QuestionBootstrap
from tasks.ml.questions import Style, make_rows, make_sheets
from tasks.ml.slicing import slice_figures, slices_of
from tasks.shared.caching import ROOT

FOODS = load_foods(ROOT / "configs" / "data" / "usda_foods.csv")


@pytest.mark.parametrize(
    ("category", "group"),
    [
        ("Meat mixed dishes", "mixed_dishes"),
        ("Lamb, Veal, and Game Products", "meat"),
        ("Soy-based condiments", "fats_sauces"),
        ("Soy and meat-alternative products", "legumes_nuts"),
        ("Dairy and Egg Products", "dairy_eggs"),
        ("Egg rolls, dumplings, sushi", "mixed_dishes"),
        ("Baby food: meat and dinners", "baby_food"),
        ("Pancakes, waffles, French toast", "grains"),
        ("Spices and Herbs", "fats_sauces"),
        ("Fruits and Fruit Juices", "fruit"),
        ("Fruit drinks", "drinks"),
        ("Finfish and Shellfish Products", "fish"),
        ("Potato chips", "snacks"),
        ("White potatoes, baked or boiled", "vegetables"),
        ("Cakes and pies", "sweets"),
        ("Not included in a food category", OTHER),
    ],
)
def test_the_group_of_a_category(category: str, group: str) -> None:
    assert food_group(category) == group


def test_hardly_a_food_of_the_table_is_in_no_group() -> None:
    groups = [food_group(food.category) for food in FOODS]
    assert len(set(groups)) == 14
    unknown = [food.category for food, group in zip(FOODS, groups, strict=True) if group == OTHER]
    assert set(unknown) == {"Not included in a food category"}
    assert len(unknown) < 0.01 * len(FOODS)


def test_a_question_about_two_foods_is_in_both_of_their_groups() -> None:
    pair = [next(f for f in FOODS if f.category == name) for name in ("Cheese", "Shellfish")]
    (sheet,) = make_sheets(pair, 1, 2, 4, "test")
    rows = make_rows(sheet, "test", ["comparison"], Style(0, 0), 1)
    assert sorted(rows[0].food_groups) == ["dairy_eggs", "fish"]
    inside = {(one.by, one.name): one.inside.tolist() for one in slices_of(rows)}
    assert inside["food_group", "fish"] == inside["food_group", "dairy_eggs"] == [1]


def test_thirds_are_by_length_and_equal_lengths_are_together(make_row) -> None:
    lengths = (3, 9, 9, 9, 20, 30)
    rows = [make_row(context="", question=" ".join("w" * length)) for length in lengths]
    inside = {one.name: one.inside.tolist() for one in slices_of(rows) if one.by == "length"}
    assert inside == {
        "short": [1, 1, 1, 1, 0, 0],
        "medium": [0, 0, 0, 0, 0, 0],
        "long": [0, 0, 0, 0, 1, 1],
    }


def test_a_slice_has_the_mean_of_its_questions_and_needs_five_contexts(make_row) -> None:
    rows = [make_row(task="a" if place < 10 else "b") for place in range(14)]
    contexts = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8])
    right = np.array([1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0], dtype=float)
    columns = tuple(
        Column(metric, "share", "higher", {"aligned": right}, np.ones(14)) for metric in ("accuracy", "words")
    )
    sample = Sample("held_out", tuple("q" * 14), contexts, columns)
    parts = [part for part in slices_of(rows) if part.by == "task"]
    found = list(slice_figures(sample, parts, QuestionBootstrap(contexts, 500, 0.95, 0)))
    (only,) = found  # b has four contexts, and words are not sliced
    assert (only.slice, only.metric, only.model) == ("a", "accuracy", "aligned")
    assert only.interval.value == pytest.approx(0.8)
    assert only.interval.n == 10
    assert only.interval.low < 0.8 < only.interval.high
