"""What every speed comparison prepares, and the figures that each of its results has."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    Worker,
    median_interval,
    note,
    pair_ratios,
    processor_times,
    run_worker,
    steal_share,
)

Answers = Sequence[Mapping[str, Any]]


def prepare(workload: str = "benchmarks.ppo_workload") -> tuple[Path, dict[str, float]]:
    """The folder of a workload, and the speed of matrix products by precision, GFLOP/s."""
    note("preparing")
    folder = Path(run_worker(Worker("workload", workload))["folder"])
    return folder, run_worker(Worker("matrix speed", "benchmarks.probe"))


class Session:
    """A whole comparison, from when this is made: the time left for it, and what its result says of it."""

    def __init__(self) -> None:
        self._started, self._ticks = time.monotonic(), processor_times()

    def left(self, minutes: float) -> float:
        """Seconds until so many minutes have passed."""
        return minutes * 60 - (time.monotonic() - self._started)

    def closing(self, peaks: Mapping[str, float], runs: Mapping[str, Answers]) -> dict[str, Any]:
        """The entries of a result that every comparison ends with; all systems have run equally often."""
        return {
            "pairs": len(next(iter(runs.values()))),
            "peak_gflops": peaks,
            "steal_share": steal_share(self._ticks, processor_times()),
            "seconds": time.monotonic() - self._started,
            "runs": runs,
        }


def peak_memory(answers: Answers, above_import: bool = False) -> float:
    """Largest peak of the runs, MB; on demand without what was resident before the first model was loaded."""
    return max(
        float(answer["peak_rss_mb"] - (answer["rss_before_mb"] if above_import else 0)) for answer in answers
    )


def speed_figures(
    ours: Answers,
    theirs: Answers,
    seconds: tuple[Sequence[float], Sequence[float]],
    operations: float,
    peaks: Mapping[str, float],
) -> dict[str, Any]:
    """What one entry of `results` says of speed and memory.

    Args:
        ours: Our answers, one a pair.
        theirs: The baseline's.
        seconds: Of each of our answers, and of each of the baseline's.
        operations: Useful ones of all our answers.
        peaks: Measured speed of matrix products by precision, GFLOP/s.

    Returns:
        `ratio`: how many times faster ours is. `memory_ratio`: our peak resident memory over the baseline's.
        `roofline_fraction`: useful operations over what the measured matrix speed would allow in our time.
    """
    ratios = pair_ratios(*seconds)
    interval = median_interval(ratios)
    return {
        "ratio": interval.median,
        "ratio_low": interval.low,
        "ratio_high": interval.high,
        "ratios": ratios,
        "memory_ratio": peak_memory(ours) / peak_memory(theirs),
        "roofline_fraction": operations / (sum(seconds[0]) * peaks[ours[0]["precision"]] * 1e9),
        "precision": ours[0]["precision"],
        "baseline_precision": theirs[0]["precision"],
    }
