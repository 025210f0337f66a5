"""The fact table: what is read, and how amounts are rounded and shown."""

from pathlib import Path

import pytest

from tasks.ml.facts import NUTRIENTS, load_foods, round_amount, show_amount

TABLE = Path(__file__).parents[2] / "configs" / "data" / "usda_foods.csv"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (653.4, "653"),
        (3.94, "3.9"),
        (0.04, "0"),
        (9.96, "10"),
        (10.6, "11"),
        (0.0, "0"),
        (1600.0, "1600"),
        (2.0, "2"),
    ],
)
def test_amounts_are_shown_as_labels_show_them(amount: float, shown: str) -> None:
    assert show_amount(amount) == shown
    assert float(shown) == round_amount(amount)


def test_a_table_is_read_and_rounded(tmp_path) -> None:
    columns = ",".join(nutrient.column for nutrient in NUTRIENTS)
    amounts = ",".join(str(10.25 * number) for number in range(len(NUTRIENTS)))
    path = tmp_path / "foods.csv"
    path.write_text(
        f'name,source,category,{columns}\n"Milk, 2\u202f%",SR,Dairy,{amounts}\n', encoding="utf-8"
    )
    [food] = load_foods(path)
    assert (food.name, food.category) == ("Milk, 2\u202f%", "Dairy")
    assert list(food.amounts) == [nutrient.label for nutrient in NUTRIENTS]
    assert list(food.amounts.values())[:4] == [0.0, 10.0, 20.0, 31.0]


def test_the_tables_names_are_unique_and_its_amounts_possible() -> None:
    foods = load_foods(TABLE)
    assert len({food.name.casefold() for food in foods}) == len(foods) > 2000
    for food in foods:
        assert 0 <= food.amounts["energy"] <= 902
        assert all(amount >= 0 for amount in food.amounts.values())
        assert food.amounts["saturated fat"] <= food.amounts["fat"] + 0.5
