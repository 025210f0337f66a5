"""What stages cost together, and what the models of a run cost beside what they are worth."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.reporting.parts import ALIGNED

if TYPE_CHECKING:
    from tasks.reporting.story import Story
    from tasks.reporting.words import Words

DISTILLED_BY = ("label", "score", "distill")
ALIGNED_BY = (*DISTILLED_BY, "feedback", "reward", ALIGNED)
_MODELS = (
    ("teacher_zero_shot", "teacher", ()),
    ("teacher_few_shot", "teacher", ()),
    ("distilled", "student", DISTILLED_BY),
    ("aligned", "student", ALIGNED_BY),
)


def sum_costs(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What stages cost together: sums, and the largest peak of memory.

    Where a record says nothing of it, since the stage was computed elsewhere, the sums are unknown: None.
    """
    names = ("seconds", "kwh", "peak_memory_mb", "energy_source")
    if any(not cost for cost in costs):
        return dict.fromkeys(names)
    if not costs:
        return {"seconds": 0.0, "kwh": 0.0, "peak_memory_mb": 0.0, "energy_source": None}
    return {
        "seconds": sum(cost["seconds"] for cost in costs),
        "kwh": sum(cost["kwh"] for cost in costs),
        "peak_memory_mb": max(cost["peak_memory_mb"] for cost in costs),
        "energy_source": " and ".join(sorted({cost["energy_source"] for cost in costs})),
    }


def known_cost(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a stage took; nothing is known of one that was cut short and gone on with."""
    return record["cost"] if record.get("state") == "executed" and "cost" in record else {}


def cost_lines(story: "Story", words: "Words") -> list[dict[str, Any]]:
    """Accuracy of each model of a run, and the energy of the stages that made it, in the ladder's form."""
    lines = []
    for name, kind, stages in _MODELS:
        found = story.estimate("evaluate", "accuracy", name)
        if found and found.low and found.high:
            costs = [known_cost(story.parts[stage].record) for stage in stages if stage in story.parts]
            accuracy = [found.value.value, found.low.value, found.high.value]
            kwh = sum_costs(costs)["kwh"]
            lines.append({"rung": words.model(name), "model": kind, "accuracy": accuracy, "kwh": kwh})
    return lines
