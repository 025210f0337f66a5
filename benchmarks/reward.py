"""How fast a reward model learns preferences beside TRL's RewardTrainer, on two processor cores.

Both start from the same trunk and learn the same pairs in the same optimiser steps, by the Bradley-Terry
loss. Ours reads a question once with all its answers; TRL reads it twice for every pair. Pairs are counted
once. Both are then examined on questions about other foods. The last line on stdout is the result, one JSON
object.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import Answers, Session, peak_memory, prepare, speed_figures
from benchmarks.harness import (
    BenchmarkError,
    Worker,
    command_arguments,
    note,
    precision_by_trial,
    print_result,
    run_alternating,
    run_worker,
)

OURS, THEIRS = "ours_reward", "trl_reward"
# form: sheets to learn from and to be examined on, and passes of a step that are tried for TRL
SIZES = {"sheets": (12, 12), "single": (120, 120)}
QUICK = {"sheets": (1, 1), "single": (8, 8)}
TRIAL = {"sheets": 1, "single": 12}
PASSES = {"sheets": (1, 2, 4), "single": (1, 2)}
RESAMPLES = 5000


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reward", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pair, a few steps: does it run?")
    parser.add_argument("--pairs", type=int, default=3, help="processes of each system")
    parser.add_argument("--minutes", type=float, default=25, help="no round begins that would end later")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs = 1
    if options.pairs < 1:
        parser.error("`--pairs`: expected 1 or more")
    return options


def worker(
    system: str, folder: Path, form: str, sizes: tuple[int, int], precision: str, passes: int
) -> Worker:
    """One system with what it has to learn."""
    arguments = {
        "--workload": folder,
        "--form": form,
        "--sheets": sizes[0],
        "--held-out": sizes[1],
        "--precision": precision,
        "--passes": passes,
    }
    return Worker(f"{system} {form}", f"benchmarks.{system}", command_arguments(arguments))


def accuracy(answer: Mapping[str, Any]) -> list[float]:
    """Share of the held-out pairs ordered as people did, with its 95 % interval over questions."""
    return _interval(answer["right"], answer["asked"])


def accuracy_gain(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[float]:
    """Our accuracy less the baseline's on the same pairs, with its 95 % interval over questions."""
    gains = [own - other for own, other in zip(ours["right"], theirs["right"], strict=True)]
    return _interval(gains, ours["asked"])


def _interval(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    # Nothing large is imported where workers are started from; see `benchmarks.harness`.
    import numpy as np

    from tasks.ml.metrics import bootstrap_ratio

    found = bootstrap_ratio(np.asarray(numerator), np.asarray(denominator), RESAMPLES, 0)
    return [found.value, found.low, found.high]


def compare(form: str, ours: Answers, theirs: Answers, peaks: Mapping[str, float]) -> dict[str, Any]:
    """One entry of `results`; see `speed_figures`.

    Raises:
        BenchmarkError: The two sides did not learn the same pairs.
    """
    for own, other in zip(ours, theirs, strict=True):
        if (own["pairs"], own["steps"]) != (other["pairs"], other["steps"]):
            got = (
                f"{own['pairs']} pairs in {own['steps']} steps learnt by ours and "
                f"{other['pairs']} in {other['steps']} by the baseline"
            )
            raise BenchmarkError(form, got, "the same", "Check the order of steps.")
    own, other = ([answer["seconds"] for answer in side] for side in (ours, theirs))
    pairs = sum(answer["pairs"] for answer in ours)
    operations = sum(answer["useful_flops"] for answer in ours)
    found, baseline = accuracy(ours[0]), accuracy(theirs[0])
    return {
        "baseline": f"TRL RewardTrainer, {form}",
        **speed_figures(ours, theirs, (own, other), operations, peaks),
        "memory_ratio_above_import": peak_memory(ours, True) / peak_memory(theirs, True),
        "pairs_per_second": pairs / sum(own),
        "baseline_pairs_per_second": pairs / sum(other),
        "peak_mb": [peak_memory(ours), peak_memory(theirs)],
        "held_out_pairs": sum(ours[0]["asked"]),
        "accuracy": found,
        "baseline_accuracy": baseline,
        "accuracy_gain": accuracy_gain(ours[0], theirs[0]),
        "within_baseline_interval": baseline[1] <= found[0] <= baseline[2],
        "last_loss": [ours[0]["losses"][-1], theirs[0]["losses"][-1]],
    }


def fastest_passes(folder: Path, form: str, precision: str) -> int:
    """In how many passes TRL takes an optimiser step fastest."""
    seconds = {}
    for passes in PASSES[form]:
        trial = worker(THEIRS, folder, form, (TRIAL[form], 0), precision, passes)
        seconds[passes] = run_worker(trial)["seconds"]
        note(f"  {form}: {seconds[passes]:.1f} s in {passes} passes a step")
    return min(seconds, key=lambda passes: seconds.get(passes, math.inf))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, run both systems in turn and compare them."""
    session = Session()
    folder, peaks = prepare("benchmarks.distill_workload")
    sizes = QUICK if options.quick else SIZES
    precisions = {
        system: precision_by_trial(
            peaks, lambda name, system=system: worker(system, folder, "single", (TRIAL["single"], 0), name, 1)
        )
        for system in (OURS, THEIRS)
    }
    passes = {
        form: PASSES[form][-1] if options.quick else fastest_passes(folder, form, precisions[THEIRS])
        for form in sizes
    }
    workers = {
        f"{system} {form}": worker(system, folder, form, sizes[form], precisions[system], passes[form])
        for form in sizes
        for system in (OURS, THEIRS)
    }
    runs = run_alternating(workers, options.pairs, session.left(options.minutes))
    return {
        "suite": "reward",
        "results": [compare(form, runs[f"{OURS} {form}"], runs[f"{THEIRS} {form}"], peaks) for form in sizes],
        "passes": passes,
        **session.closing(peaks, runs),
    }


if __name__ == "__main__":
    print_result(measure, parse())
