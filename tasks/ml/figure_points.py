"""Under which names a table's figures stand in the tracker: what logs them and what shows them agree."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, Any]
_ENDS = {"": "value", "_low": "low", "_high": "high"}


def figure_points(figures: Iterable[Row]) -> dict[str, float]:
    """`metric/model`, with its interval as `_low` and `_high`."""
    return _points((f"{row['metric']}/{row['model']}", row) for row in figures)


def comparison_points(comparisons: Iterable[Row]) -> dict[str, float]:
    """`difference/metric/model/against`, with its ends, and `.../adjusted_p`."""
    points: dict[str, float] = {}
    for row in comparisons:
        key = f"difference/{row['metric']}/{row['model']}/{row['against']}"
        points |= _points([(key, {**row, "value": row["difference"]})])
        if _is_number(row.get("adjusted_p")):
            points[f"{key}/adjusted_p"] = float(row["adjusted_p"])
    return points


def slice_points(slices: Iterable[Row]) -> dict[str, float]:
    """`slice/by/slice/metric/model`, with its interval."""
    return _points(
        (f"slice/{row['by']}/{row['slice']}/{row['metric']}/{row['model']}", row) for row in slices
    )


def _points(rows: Iterable[tuple[str, Row]]) -> dict[str, float]:
    return {
        f"{key}{end}": float(row[name])
        for key, row in rows
        for end, name in _ENDS.items()
        if _is_number(row.get(name))
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
