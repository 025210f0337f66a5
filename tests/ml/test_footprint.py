"""From energy to CO2 by the shipped table, without the tracker."""

import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from tasks.ml.footprint import co2e_kg, grid

ROOT = Path(__file__).parents[2]


def test_the_electricity_of_a_country() -> None:
    france = grid("FRA")
    assert (france.country, france.name) == ("FRA", "France")
    # Its grid is among the cleanest, Poland's is not: the table's order of size holds, whatever its year.
    assert 20 < france.grams_per_kwh < 100
    assert grid("POL").grams_per_kwh > 5 * france.grams_per_kwh
    assert france.year >= 2020


def test_kilograms_by_hand() -> None:
    assert co2e_kg(0.02, 56.0) == pytest.approx(0.00112)
    assert co2e_kg(0, 56.0) == 0


def test_a_country_that_the_table_does_not_hold_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="FRA"):
        grid("FRX")


def test_the_library_itself_is_never_imported() -> None:
    code = (
        "import sys; from tasks.ml.footprint import grid; grid('FRA'); assert 'codecarbon' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
