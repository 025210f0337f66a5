"""How fast this project's PPO is beside TRL's, on two processor cores.

Every system answers the same prompts with the same number of tokens (`ppo_workload`), trains the same adapter
for as many epochs, and runs in processes of its own, in turn with the others. The last line on stdout is the
result, one JSON object.

A worker answers with the seconds (and processor seconds) of each measured update, the real tokens processed
in them, its peak resident memory, that before the first model was loaded, and its precision; ours adds the
useful operations of each measured update. Update u has the answer lengths
`Workload.update_lengths(u, episodes)`. There is no warm-up: of two updates the first took TRL 29.5 s and the
second 29.8 s, and ours 17.6 and 18.6 s. Three rounds take some nine minutes.
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
    median_interval,
    pair_ratios,
    precision_by_trial,
    print_result,
    run_alternating,
)
from benchmarks.trl_environment import python_with_trl

QUICK_EPISODES = 8
TRIAL_EPISODES = 8
SAMPLES = 4
# What took the least processor time of the batch sizes tried; see the docstring of `trl_worker`.
PPO_MICRO_BATCH = 4
RLOO_MICRO_BATCH = 4
# baseline, our worker, its worker
COMPARISONS = (
    ("trl-1.12.0 PPOTrainer, 1 sample a prompt", "ours k=1", "trl ppo"),
    (f"trl-1.12.0 PPOTrainer, {SAMPLES} samples a prompt", f"ours k={SAMPLES}", "trl ppo"),
    (f"trl-1.16.0 RLOOTrainer, {SAMPLES} samples a prompt", f"ours k={SAMPLES}", "trl rloo"),
)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ppo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pair of small updates: does it run at all?")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each system")
    parser.add_argument("--episodes", type=int, default=32, help="answers in an update")
    parser.add_argument("--updates", type=int, default=1, help="updates of a run")
    parser.add_argument("--minutes", type=float, default=10, help="no round begins that would end later")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.episodes = 1, QUICK_EPISODES
    rows = math.lcm(PPO_MICRO_BATCH, RLOO_MICRO_BATCH, SAMPLES)
    if options.episodes < rows or options.episodes % rows:
        parser.error(f"`--episodes`: got {options.episodes}; expected a multiple of {rows}")
    if min(options.pairs, options.updates) < 1:
        parser.error("`--pairs` and `--updates`: expected 1 or more")
    return options


def trl_worker(kind: str, folder: Path, precision: str, episodes: int, updates: int) -> Worker:
    """TRL's PPO (`ppo`, in its own environment) or RLOO (`rloo`), tuned for this machine.

    Tuned: no gradient checkpointing; the value model's trunk frozen below adapters, as TRL does not do by
    itself; the dtype that a trial finds faster; 4 rows in a pass (2 and 8 took more processor time); sampling
    in one batch.
    """
    micro_batch = PPO_MICRO_BATCH if kind == "ppo" else RLOO_MICRO_BATCH
    arguments = {
        "--workload": folder,
        "--episodes": episodes,
        "--updates": updates,
        "--precision": precision,
        "--micro-batch": micro_batch,
    }
    if kind == "rloo":
        arguments["--samples"] = SAMPLES
    python = str(python_with_trl()) if kind == "ppo" else ""
    return Worker(f"trl {kind}", f"benchmarks.trl_{kind}", command_arguments(arguments), python)


def our_worker(folder: Path, samples: int, episodes: int, updates: int) -> Worker:
    """This project's PPO, which chooses its precision by itself."""
    arguments = {
        "--workload": folder,
        "--episodes": episodes,
        "--samples": samples,
        "--updates": updates,
        "--precision": "auto",
    }
    return Worker(f"ours k={samples}", "benchmarks.ours_ppo", command_arguments(arguments))


def compare(name: str, ours: Answers, theirs: Answers, peaks: Mapping[str, float]) -> dict[str, Any]:
    """One entry of `results`.

    Args:
        name: Of the baseline.
        ours: Our answers, one a pair.
        theirs: The baseline's.
        peaks: Measured speed of matrix products by precision, GFLOP/s.

    Returns:
        Those of `speed_figures`; `memory_ratio_above_import` leaves out what was resident before the first
        model was loaded, and `processor_time_ratio` is like `ratio` in processor seconds.

    Raises:
        BenchmarkError: The two sides did not process the same tokens.
    """
    for own, other in zip(ours, theirs, strict=True):
        if own["tokens"] != other["tokens"]:
            raise BenchmarkError(
                name,
                f"{own['tokens']} tokens processed by ours and {other['tokens']} by the baseline",
                "the same",
                "Check that both force the workload's lengths.",
            )
    own, other = _totals(ours), _totals(theirs)
    episodes = sum(len(answer["seconds"]) * answer["episodes_per_update"] for answer in ours)
    return {
        "baseline": name,
        **speed_figures(ours, theirs, (own, other), sum(_totals(ours, "useful_flops")), peaks),
        "processor_time_ratio": median_interval(
            pair_ratios(_totals(ours, "processor_seconds"), _totals(theirs, "processor_seconds"))
        ).median,
        "memory_ratio_above_import": peak_memory(ours, True) / peak_memory(theirs, True),
        "episodes_per_second": episodes / sum(own),
        "baseline_episodes_per_second": episodes / sum(other),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, run all systems in turn and compare them."""
    session = Session()
    folder, peaks = prepare()
    if options.quick:
        precision = max(peaks, key=lambda name: peaks[name])
    else:
        precision = precision_by_trial(peaks, lambda name: trl_worker("ppo", folder, name, TRIAL_EPISODES, 1))
    size = (options.episodes, options.updates)
    workers = [
        our_worker(folder, 1, *size),
        trl_worker("ppo", folder, precision, *size),
        our_worker(folder, SAMPLES, *size),
        trl_worker("rloo", folder, precision, *size),
    ]
    answers = run_alternating(
        {worker.name: worker for worker in workers}, options.pairs, session.left(options.minutes)
    )
    return {
        "suite": "ppo",
        "results": [compare(name, answers[own], answers[other], peaks) for name, own, other in COMPARISONS],
        "episodes_per_update": options.episodes,
        **session.closing(peaks, answers),
    }


def _totals(answers: Answers, key: str = "seconds") -> list[float]:
    return [sum(answer[key]) for answer in answers]


if __name__ == "__main__":
    print_result(measure, parse())
