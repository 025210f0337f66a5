"""The points of a training loop, kept in the artifact as well: a report draws them without a server."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.ml.checkpoint import Checkpoints, Tensors
from tasks.ml.trainer import Log

FILE = "curve.json"
MOST_POINTS = 2000  # of one metric; beyond it every other point is left out
# A speed is never measured the same: it would give every artifact a digest of its own.
_TIMED = frozenset({"tokens_per_second"})
_STATE = "curve"


class Curve:
    """Passes points on and keeps them, across checkpoints too; fits `Log` as `log`, and `Checkpoints`.

    Args:
        log: Takes one point of each curve.
        checkpoints: Keeps the state of the loop; the points travel in it.
    """

    def __init__(self, log: Log, checkpoints: Checkpoints) -> None:
        self._log, self._checkpoints = log, checkpoints
        self.points: dict[str, list[tuple[int, float]]] = {}

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Add one point to each curve named."""
        self._log(metrics, step)
        for name, value in metrics.items():
            if name not in _TIMED and math.isfinite(value):
                self.points.setdefault(name, []).append((step, float(value)))

    def save(self, name: str, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Keep the points beside the loop's own state."""
        self._checkpoints.save(name, tensors, {**state, _STATE: self.points})

    def load(self, name: str) -> tuple[Tensors, dict[str, Any]] | None:
        """Give the loop's own state, and go on with the points that were kept beside it."""
        found = self._checkpoints.load(name)
        if found is None:
            return None
        tensors, state = found
        kept = state.pop(_STATE, {})
        self.points = {metric: [(step, value) for step, value in points] for metric, points in kept.items()}
        return tensors, state

    def write(self, folder: Path) -> None:
        """Write `curve.json`, by metric its points (step, value), thinned to `MOST_POINTS`; none, no file."""
        if self.points:
            thinned = {name: thin(points) for name, points in sorted(self.points.items())}
            (folder / FILE).write_text(json.dumps(thinned), encoding="utf-8")


def thin(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """The points, or as many times every other one as it takes; the last one stays."""
    while len(points) > MOST_POINTS:
        points = points[-1::-2][::-1]
    return points
