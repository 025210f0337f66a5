"""What every speed comparison prepares, and the figures that each of its results has."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Worker, median_interval, note, pair_ratios, run_worker

Answers = Sequence[Mapping[str, Any]]


def prepare() -> tuple[Path, dict[str, float]]:
    """The workload folder, and the speed of matrix products by precision, GFLOP/s."""
    note("preparing")
    folder = Path(run_worker(Worker("workload", "benchmarks.ppo_workload"))["folder"])
    return folder, run_worker(Worker("matrix speed", "benchmarks.probe"))


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
