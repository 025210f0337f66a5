"""Points that are NaN or infinite: they are kept out of curves but not out of sight."""

import math
from collections import Counter
from collections.abc import Mapping


class NonFinitePoints:
    """Takes such points out of curves, whose axes they break, and counts them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def keep_finite(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        """The finite ones of the metrics; the others are counted."""
        finite = {}
        for name, number in metrics.items():
            value = float(number)
            if math.isfinite(value):
                finite[name] = value
            else:
                self._counts[name] += 1
                self._first.setdefault(name, f"{value} at step {step}")
        return finite

    def describe(self) -> str:
        """One phrase a metric, such as `loss: nan at step 12, 3 in all`; empty if all were finite."""
        return "; ".join(
            f"{name}: {self._first[name]}, {count} in all" for name, count in sorted(self._counts.items())
        )
