"""What the stages of a run cost: energy from the store's records, and the CO2 of it."""

from collections.abc import Mapping
from typing import Any

from tasks.ml.footprint import co2e_kg, grid
from tasks.reporting.costs import known_cost
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.store import Store


def footprint(store: Store, refs: Mapping[str, ArtifactRef], country: str) -> dict[str, Any]:
    """Energy and CO2 of every stage whose record says what it took.

    A stage that was cut short and gone on with is left out, and named: its record holds the last part alone.

    Args:
        store: Holds the records.
        refs: The run's artifacts, by stage.
        country: Whose electricity it was, ISO 3166-1 with three letters.

    Returns:
        In the form of the artifact `assess`'s `footprint.json`: `stages` with kWh, kilograms of CO2
        equivalent, seconds and how the energy is known; `unknown` names the other stages.
    """
    own = grid(country)
    stages, unknown = [], []
    for name, ref in refs.items():
        cost = known_cost(store.read_record(ref.key) or {})
        if not cost:
            unknown.append(name)
            continue
        kg = co2e_kg(cost["kwh"], own.grams_per_kwh)
        known = {"kwh": cost["kwh"], "seconds": cost["seconds"], "source": cost["energy_source"]}
        stages.append({"stage": name, "kg_co2e": kg, **known})
    intensity = {"country": own.country, "intensity_g_per_kwh": own.grams_per_kwh, "year": own.year}
    return {"stages": stages, "unknown": unknown, **intensity}


def footprint_metrics(found: Mapping[str, Any]) -> dict[str, float]:
    """The footprint as metrics of a run: `footprint/kwh`, `footprint/kg_co2e`, and both by stage."""
    metrics = {
        f"footprint/{unit}/{stage['stage']}": float(stage[unit])
        for stage in found["stages"]
        for unit in ("kwh", "kg_co2e")
    }
    totals = {
        f"footprint/{unit}": sum(stage[unit] for stage in found["stages"]) for unit in ("kwh", "kg_co2e")
    }
    return metrics | totals
