"""What all stages cost together: worked out here, and logged by stage `report` under its own name."""

from typing import TYPE_CHECKING

from tasks.ml.footprint import co2e_kg
from tasks.reporting.costs import known_cost, sum_costs
from tasks.reporting.numbers import Number

if TYPE_CHECKING:
    from tasks.reporting.story import Story

REPORT = "report"


def footprint(story: "Story") -> list[Number]:
    """Seconds, kWh, and kg of CO2e where its intensity is known; none if a stage's cost is not.

    A report cannot name its own run and artifact, so these numbers name none: they are in the run of stage
    `report` itself.
    """
    total = sum_costs([known_cost(part.record) for part in story.parts.values()])
    if total["seconds"] is None:
        return []
    found = {"seconds": total["seconds"], "kwh": total["kwh"]}
    assessed = story.load("assess", "footprint.json")
    if assessed and assessed.get("intensity_g_per_kwh"):
        found["kg_co2e"] = co2e_kg(total["kwh"], assessed["intensity_g_per_kwh"])
    return [Number(f"{REPORT}/{name}", value, REPORT, None, "") for name, value in found.items()]
