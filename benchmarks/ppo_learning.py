"""Whether this project's PPO learns as much per episode as TRL's, and moves no further for it.

Both start from the same weights on the same task with the same hyper-parameters (`learning_workload`). The
last line on stdout is the result, one JSON object.

A worker answers {"runs": [...]}, for each seed an object with `seed`, `rewards` (mean of each rollout, the
penalty for a missing stop included), `kl` (nats per answer, mean of each rollout) and `episodes_per_update`.
"""

import argparse
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Worker, note, print_result, run_worker
from benchmarks.learning_workload import SEEDS, LearningTask
from benchmarks.trl_environment import python_with_trl

Run = Mapping[str, Any]
Curve = Sequence[float]

BASELINE = "trl-1.12.0 PPOTrainer"
FINAL_SHARE = 0.1
QUICK_SEEDS, QUICK_UPDATES = 2, 20
REWARD_SHARES = (0.25, 0.5, 0.75, 1.0)


def window_of(updates: int) -> int:
    """Updates that make up the last tenth."""
    return max(1, round(FINAL_SHARE * updates))


def final_reward(rewards: Curve) -> float:
    """Mean of the last tenth of the updates."""
    return statistics.fmean(rewards[-window_of(len(rewards)) :])


def smoothed(curve: Curve) -> list[float]:
    """Trailing mean over a tenth of the updates (fewer at the beginning)."""
    window = window_of(len(curve))
    return [statistics.fmean(curve[max(0, end - window) : end]) for end in range(1, len(curve) + 1)]


def mean_curve(curves: Sequence[Curve]) -> list[float]:
    """Mean over seeds, update by update."""
    return [statistics.fmean(points) for points in zip(*curves, strict=True)]


def crossing(rewards: Curve, level: float) -> float | None:
    """The first update, interpolated between two, at which a curve reaches a level; None: never."""
    for update, reward in enumerate(rewards):
        if reward >= level:
            if update == 0:
                return 0.0
            before = rewards[update - 1]
            return update - 1 + (level - before) / (reward - before)
    return None


def value_at(curve: Curve, place: float) -> float:
    """Linear interpolation of a curve between two updates."""
    below = min(math.floor(place), len(curve) - 1)
    above = min(below + 1, len(curve) - 1)
    return curve[below] + (place - below) * (curve[above] - curve[below])


def episodes_to_reach(run: Run, level: float) -> float | None:
    """Episodes after which the smoothed reward reaches a level; None: never."""
    place = crossing(smoothed(run["rewards"]), level)
    return None if place is None else (place + 1) * run["episodes_per_update"]


def kl_at_equal_reward(ours: Sequence[Run], theirs: Sequence[Run]) -> list[dict[str, float]]:
    """KL of both sides' mean curves where rewards are equal: at shares of the rise that both have made."""
    sides = [
        (
            smoothed(mean_curve([run["rewards"] for run in runs])),
            smoothed(mean_curve([run["kl"] for run in runs])),
        )
        for runs in (ours, theirs)
    ]
    start = max(rewards[0] for rewards, _ in sides)
    top = min(max(rewards) for rewards, _ in sides)
    points = []
    for share in REWARD_SHARES:
        level = start + share * (top - start)
        # No curve misses a level that both reach; rounding could lift the last one above `top`.
        own, other = (value_at(kl, crossing(rewards, min(level, top)) or 0.0) for rewards, kl in sides)
        points.append({"reward": level, "kl": own, "baseline_kl": other})
    return points


def share_in_band(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """Share of updates at which our mean reward is no lower than the baseline's mean less one deviation."""
    own = mean_curve([run["rewards"] for run in ours])
    columns = list(zip(*(run["rewards"] for run in theirs), strict=True))
    floors = [statistics.fmean(column) - statistics.stdev(column) for column in columns]
    return statistics.fmean(reward >= floor for reward, floor in zip(own, floors, strict=True))


def compare(ours: Sequence[Run], theirs: Sequence[Run]) -> dict[str, Any]:
    """The entry of `results`; needs two seeds at least."""
    own = [final_reward(run["rewards"]) for run in ours]
    other = [final_reward(run["rewards"]) for run in theirs]
    mean, deviation = statistics.fmean(other), statistics.stdev(other)
    equal = kl_at_equal_reward(ours, theirs)
    return {
        "baseline": BASELINE,
        "final_rewards": own,
        "baseline_final_rewards": other,
        "final_reward": statistics.fmean(own),
        "baseline_final_reward": mean,
        "baseline_final_deviation": deviation,
        "within_band": statistics.fmean(own) >= mean - deviation,
        "share_of_updates_in_band": share_in_band(ours, theirs),
        "episodes_to_baseline_final": [episodes_to_reach(run, mean) for run in ours],
        "baseline_episodes_to_baseline_final": [episodes_to_reach(run, mean) for run in theirs],
        "kl_at_equal_reward": equal,
        "kl_ratio": equal[-1]["kl"] / equal[-1]["baseline_kl"],
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo_learning", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few updates and seeds: does it run at all?")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="at least 2")
    parser.add_argument("--updates", type=int, default=LearningTask.updates)
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.updates = QUICK_SEEDS, QUICK_UPDATES
    if options.seeds < 2:
        parser.error(
            f"`--seeds`: got {options.seeds}; expected 2 or more, since their spread is the yardstick"
        )
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let both sides learn, and compare them."""
    started = time.monotonic()
    size = ("--seeds", str(options.seeds), "--updates", str(options.updates))
    folder = Path(run_worker(Worker("task", "benchmarks.learning_workload", size))["folder"])
    arguments = ("--workload", str(folder), "--seeds", str(options.seeds))
    note("learning")
    trl = Worker("trl", "benchmarks.trl_ppo_learning", arguments, str(python_with_trl()))
    ours = run_worker(Worker("ours", "benchmarks.ours_ppo_learning", arguments))["runs"]
    theirs = run_worker(trl)["runs"]
    return {
        "suite": "ppo_learning",
        "results": [compare(ours, theirs)],
        "seconds": time.monotonic() - started,
        "runs": {"ours": ours, "trl": theirs},
    }


if __name__ == "__main__":
    print_result(measure, parse())
