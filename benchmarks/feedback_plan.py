"""How many labels `retort feedback plan` saves beside random choice, on simulated annotators.

Every way to choose starts from the same 20 random pairs and asks 20 at a time until 300 are asked. After each
round a reward head is fitted to what was said (ties drop out, as in the pipeline) and tested on all pairs of
other questions whose true worths differ. "Labels saved": how many fewer a way needs to reach, for good, the
accuracy that random choice has with all 300, from curves averaged over seeds; the interval is a bootstrap
over seeds. The last line on stdout is the result, one JSON object.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.feedback_plan_pools import Answers, Array, facts, latent, student
from benchmarks.feedback_plan_ways import BATCH, LABELS, WAYS, learn, make_task
from benchmarks.harness import note, print_result

SEEDS, QUICK_SEEDS = 20, 2
RESAMPLES = 2000
PLOT = Path(".retort/benchmarks/feedback_plan.png")


def labels_saved(curve: Array, baseline: Array) -> float:
    """How many of LABELS a mean curve spares until it reaches, and keeps, the other's end; 0: it does not.

    Args:
        curve: Accuracy after each round of BATCH labels, mean over seeds. Shape [rounds].
        baseline: The same of random choice.
    """
    below = np.flatnonzero(curve < baseline[-1])
    if not len(below):
        return float(LABELS - BATCH)
    last = int(below[-1])
    if last == len(curve) - 1:
        return 0.0
    part = (baseline[-1] - curve[last]) / (curve[last + 1] - curve[last])
    return float(LABELS - BATCH * (last + 1 + part))


def interval_of(curves: Array, baselines: Array) -> tuple[float, float]:
    """95 % bootstrap interval of `labels_saved`; a seed's two curves stay together. Both [seeds, rounds]."""
    draw = np.random.default_rng(0)
    picks = draw.integers(0, len(curves), size=(RESAMPLES, len(curves)))
    saved = [labels_saved(curves[pick].mean(0), baselines[pick].mean(0)) for pick in picks]
    low, high = np.percentile(saved, [2.5, 97.5])
    return float(low), float(high)


def compare(pool: str, make: Callable[[int], Answers], seeds: int) -> list[dict[str, Any]]:
    """One entry of `results` for each way on a pool of answers."""
    curves: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    ties: dict[str, list[float]] = {name: [] for name in WAYS}
    for seed in range(seeds):
        note(f"{pool}, seed {seed + 1} of {seeds}")
        task = make_task(make(seed), seed)
        for name, way in WAYS.items():
            curve, tied = learn(task, way, seed)
            curves[name].append(curve)
            ties[name].append(tied)
    found = {name: np.array(runs) for name, runs in curves.items()}
    return [entry(pool, name, found, float(np.mean(ties[name]))) for name in WAYS]


def entry(pool: str, name: str, curves: Mapping[str, Array], ties: float) -> dict[str, Any]:
    """What one way reached on one pool."""
    own, baseline = curves[name], curves["random"]
    low, high = interval_of(own, baseline)
    return {
        "pool": pool,
        "way": name,
        "labels": list(range(BATCH, LABELS + 1, BATCH)),
        "accuracy": own.mean(0).tolist(),
        "accuracy_deviation": own.std(0, ddof=1).tolist(),
        "ties": ties,
        "labels_saved": labels_saved(own.mean(0), baseline.mean(0)),
        "labels_saved_low": low,
        "labels_saved_high": high,
    }


def draw_curves(results: list[dict[str, Any]], path: Path, seeds: int) -> None:
    """One panel a pool, with bands of two standard errors for random choice and the plan."""
    from matplotlib.figure import Figure

    pools = list(dict.fromkeys(result["pool"] for result in results))
    figure = Figure(figsize=(5 * len(pools), 4), layout="constrained")
    for axes, pool in zip(figure.subplots(1, len(pools), squeeze=False)[0], pools, strict=True):
        for result in (result for result in results if result["pool"] == pool):
            main = result["way"] in ("random", "planned")
            mean = np.array(result["accuracy"])
            (line,) = axes.plot(result["labels"], mean, label=result["way"], linewidth=2 if main else 1)
            if main:
                error = 2 * np.array(result["accuracy_deviation"]) / np.sqrt(seeds)
                axes.fill_between(
                    result["labels"], mean - error, mean + error, alpha=0.15, color=line.get_color()
                )
        axes.set(title=pool, xlabel="labels", ylabel="held-out accuracy")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feedback_plan", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds: does it run at all?")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    parser.add_argument("--run", type=Path, help="home of a finished run, whose student reads its answers")
    options = parser.parse_args()
    if options.quick:
        options.seeds = QUICK_SEEDS
    if options.seeds < 2:
        parser.error(f"`--seeds`: got {options.seeds}; expected 2 or more")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every way on every pool."""
    started = time.monotonic()
    pools: dict[str, Callable[[int], Answers]] = {"latent": latent, "facts": facts}
    if options.run:
        read = student(options.run)
        pools["student"] = lambda seed: read
    results = [result for pool, make in pools.items() for result in compare(pool, make, options.seeds)]
    draw_curves(results, PLOT, options.seeds)
    return {
        "suite": "feedback_plan",
        "seeds": options.seeds,
        "results": results,
        "plot": str(PLOT),
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    print_result(measure, parse())
