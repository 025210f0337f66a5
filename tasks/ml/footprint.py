"""From energy to CO2: the carbon intensity of a country's electricity, from the table that codecarbon ships.

The table is read as a file. The library's tracker, which looks for the machine's place and for newer versions
of itself in the network, is never imported.
"""

import importlib.util
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest

_TABLE = Path("data", "private_infra", "global_energy_mix.json")


@dataclass(frozen=True)
class Grid:
    """A country's electricity.

    Attributes:
        country: ISO 3166-1, three letters.
        name: In English.
        grams_per_kwh: CO2 equivalent, grams a kWh, over the life of the plants.
        year: That the intensity is of.
    """

    country: str
    name: str
    grams_per_kwh: float
    year: int


def grid(country: str) -> Grid:
    """The electricity of a country.

    Raises:
        ConfigError: The table does not hold the country.
    """
    mix = _table().get(country)
    if mix is None or mix.get("carbon_intensity") is None:
        known = sorted(code for code, own in _table().items() if own.get("carbon_intensity") is not None)
        remedy = did_you_mean(nearest(country, known), "Choose a country whose electricity is alike.")
        got = f"`{country}`, which codecarbon's table of {len(known)} countries does not hold"
        raise ConfigError([Problem("assess.country", got, "a country of the table, such as `FRA`", remedy)])
    return Grid(country, str(mix["country_name"]), float(mix["carbon_intensity"]), int(mix["year"]))


def co2e_kg(kwh: float, grams_per_kwh: float) -> float:
    """Kilograms of CO2 equivalent of some energy."""
    return kwh * grams_per_kwh / 1000


@cache
def _table() -> dict[str, dict[str, Any]]:
    found = importlib.util.find_spec("codecarbon")
    folders = found.submodule_search_locations if found else None
    path = Path(next(iter(folders or []))) / _TABLE
    table: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return table
