"""Every number that may be shown, with where it comes from: a metric of a run, and an artifact.

Pages show no other number: what is not here cannot be written.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.ml.figure_points import comparison_points, figure_points, slice_points
from tasks.reporting.parts import Part, Parts
from tasks.stage_spec import summary_points


@dataclass(frozen=True)
class Number:
    """A value and its source.

    Attributes:
        metric: Its name in the tracker.
        value: As it was logged.
        stage: Name of the part that logged it.
        run_id: The tracker's run of that stage; None if it was not recorded.
        artifact: Digest of the manifest of the stage's artifact.
    """

    metric: str
    value: float
    stage: str
    run_id: str | None
    artifact: str


class Numbers:
    """All numbers of a run's parts, by part and metric."""

    def __init__(self, parts: Parts) -> None:
        self._found = {
            (stage, metric): Number(metric, value, stage, part.run_id, part.ref.sha256)
            for stage, part in parts.items()
            for metric, value in logged(part).items()
        }

    def __call__(self, stage: str, metric: str) -> Number:
        """The number.

        Raises:
            KeyError: The stage logged no such metric.
        """
        return self._found[stage, metric]

    def find(self, stage: str, metric: str) -> Number | None:
        """The number, or None if the stage logged no such metric."""
        return self._found.get((stage, metric))

    def add(self, derived: Iterable[Number]) -> None:
        """Take in what was worked out from other numbers, and logged."""
        self._found |= {(number.stage, number.metric): number for number in derived}

    def __iter__(self) -> Iterator[Number]:
        return iter(self._found.values())

    def of(self, stage: str, prefix: str = "") -> list[Number]:
        """The numbers of a stage whose metric begins so, in the order of logging."""
        return [
            number
            for (name, metric), number in self._found.items()
            if name == stage and metric.startswith(prefix)
        ]


def logged(part: Part) -> dict[str, float]:
    """What a stage logged, by metric: its summary, its cost, its figures, comparisons and slices."""
    points = summary_points(part.ref.kind, part.ref.summary)
    points |= summary_points("cost", part.record.get("cost") or {})
    for name, points_of in _TABLES.items():
        points |= points_of(_rows(part.load(name)))
    return points


def _rows(found: Any) -> Iterable[Mapping[str, Any]]:
    return found if isinstance(found, list) else []


_TABLES = {
    "figures.json": figure_points,
    "comparisons.json": comparison_points,
    "slices.json": slice_points,
}
