"""The fact table: nutrients with FDA daily values, foods, and how amounts are shown."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Nutrient:
    """A column of the fact table.

    Attributes:
        column: Its name in the table.
        label: Its name in a sentence.
        unit: Unit of the amounts, per 100 g of food.
        daily_value: The FDA's daily value for adults (21 CFR 101.9(c)(8)(iv) and (9)) in the same unit, for
            nutrients whose good sources are worth asking for.
    """

    column: str
    label: str
    unit: str
    daily_value: float | None = None


NUTRIENTS = (
    Nutrient("energy_kcal", "energy", "kcal"),
    Nutrient("protein_g", "protein", "g", 50),
    Nutrient("fat_g", "fat", "g"),
    Nutrient("saturated_fat_g", "saturated fat", "g"),
    Nutrient("carbohydrate_g", "carbohydrate", "g"),
    Nutrient("sugars_g", "sugars", "g"),
    Nutrient("fibre_g", "fibre", "g", 28),
    Nutrient("sodium_mg", "sodium", "mg"),
    Nutrient("potassium_mg", "potassium", "mg", 4700),
    Nutrient("calcium_mg", "calcium", "mg", 1300),
    Nutrient("iron_mg", "iron", "mg", 18),
    Nutrient("vitamin_c_mg", "vitamin C", "mg", 90),
)
BY_LABEL = {nutrient.label: nutrient for nutrient in NUTRIENTS}

# 21 CFR 101.54(c): a "good source" holds 10 to 19 % of the daily value. The regulation speaks of the amount
# customarily consumed; the table knows 100 g, and every answer says so.
GOOD_SOURCE_SHARE = 0.10


@dataclass(frozen=True)
class Food:
    """One food: its name, its category and its amounts per 100 g by nutrient label."""

    name: str
    category: str
    amounts: Mapping[str, float]


def load_foods(path: Path) -> list[Food]:
    """Read the fact table that `configs/data/derive_usda_foods.py` writes."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Food(
                row["name"], row["category"], {n.label: round_amount(float(row[n.column])) for n in NUTRIENTS}
            )
            for row in csv.DictReader(file)
        ]


def round_amount(amount: float) -> float:
    """Round as food labels do: whole numbers from 10 up, one decimal below."""
    return float(round(amount)) if amount >= 10 else round(amount, 1)


def show_amount(amount: float) -> str:
    """An amount as it stands in a sheet and in a gold answer: `653`, `3.9`, `0`."""
    return f"{round_amount(amount):g}"
