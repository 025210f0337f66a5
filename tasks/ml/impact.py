"""The impact assessment: each deployment scenario with the figures that matter there, and open questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from configs.scenarios import Scenarios


def assess_impact(
    scenarios: Scenarios, figures: Sequence[Mapping[str, Any]], flagged: set[tuple[str, str]], model: str
) -> list[dict[str, Any]]:
    """Fill every scenario with one model's figures.

    Args:
        scenarios: What matters where.
        figures: Everything that the run measured, with `metric`, `model`, `value` and `unit`.
        flagged: Metric and model of each flag.
        model: The one that would be deployed.

    Returns:
        For each scenario its facts, the metrics that were not measured, and its open questions.
    """
    found = {figure["metric"]: figure for figure in figures if figure["model"] == model}
    return [
        {
            "scenario": scenario.scenario,
            "title": scenario.title.model_dump(),
            "facts": [
                {
                    "claim": scenarios.claims[metric].model_dump(),
                    **{name: found[metric][name] for name in ("metric", "model", "value", "unit")},
                    "flagged": (metric, model) in flagged,
                }
                for metric in scenario.metrics
                if metric in found
            ],
            "not_measured": [metric for metric in scenario.metrics if metric not in found],
            "open_questions": [question.model_dump() for question in scenario.open_questions],
        }
        for scenario in scenarios.scenarios
    ]
