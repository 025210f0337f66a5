"""How fast students learn from a teacher's logits beside TRL's GKDTrainer, on two processor cores.

Both learn the same answers to the same questions in the same optimiser steps for three epochs, by forward
KL alone. Ours captures the top 32 logits once, which its time includes, and keeps 132 bytes a token; TRL asks
its teacher at every step. Tokens are counted as TRL processes them, a prompt once a question and no padding.
The last line on stdout is the result, one JSON object.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import Answers, Session, peak_memory, prepare, speed_figures
from benchmarks.harness import (
    BenchmarkError,
    Worker,
    command_arguments,
    precision_by_trial,
    print_result,
    run_alternating,
    run_worker,
)

# student, form of the questions
COMPARISONS = (("small", "sheets"), ("large", "sheets"), ("small", "single"))
OURS, THEIRS, DENSE = "ours_distill", "trl_gkd", "dense"
QUICK_STEPS = 2


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distill", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pair, two steps an epoch: does it run?")
    parser.add_argument("--pairs", type=int, default=2, help="processes of each system")
    parser.add_argument("--steps", type=int, default=4, help="of an epoch: 14 or 16 questions each")
    parser.add_argument("--minutes", type=float, default=15, help="no round begins that would end later")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.steps = 1, QUICK_STEPS
    if min(options.pairs, options.steps) < 1:
        parser.error("`--pairs` and `--steps`: expected 1 or more")
    return options


def worker(
    system: str, folder: Path, case: tuple[str, str], precision: str, steps: int, epochs: int = 3
) -> Worker:
    """One system with what it has to learn; `dense` is ours with the whole distribution at every step."""
    arguments = {
        "--workload": folder,
        "--student": case[0],
        "--form": case[1],
        "--steps": steps,
        "--epochs": epochs,
        "--precision": precision,
        "--targets": "dense" if system == DENSE else "stored",
    }
    module = f"benchmarks.{OURS if system == DENSE else system}"
    return Worker(f"{system} {' '.join(case)}", module, command_arguments(arguments))


def compare(
    case: tuple[str, str], ours: Answers, theirs: Answers, peaks: Mapping[str, float]
) -> dict[str, Any]:
    """One entry of `results`; see `speed_figures`.

    Raises:
        BenchmarkError: The two sides did not learn the same tokens.
    """
    for own, other in zip(ours, theirs, strict=True):
        if (own["tokens"], own["steps"]) != (other["tokens"], other["steps"]):
            got = (
                f"{own['tokens']} tokens in {own['steps']} steps learnt by ours and "
                f"{other['tokens']} in {other['steps']} by the baseline"
            )
            raise BenchmarkError(" ".join(case), got, "the same", "Check the order of steps.")
    own, other = ([answer["seconds"] for answer in side] for side in (ours, theirs))
    operations = sum(answer["useful_flops"] for answer in ours)
    return {
        "baseline": f"TRL GKDTrainer, {case[0]} student, {case[1]}",
        **speed_figures(ours, theirs, (own, other), operations, peaks),
        "memory_ratio_above_import": peak_memory(ours, True) / peak_memory(theirs, True),
        "capture_share": sum(answer["capture_seconds"] for answer in ours) / sum(own),
        "tokens_per_second": sum(answer["tokens"] for answer in ours) / sum(own),
        "baseline_tokens_per_second": sum(answer["tokens"] for answer in theirs) / sum(other),
        "valid_kl": [ours[0]["valid_kl"], theirs[0]["valid_kl"]],
    }


def fidelity(stored: Mapping[str, Any], dense: Mapping[str, Any]) -> dict[str, float]:
    """What learning from the stored logits costs: held-out KL to the teacher beside that of dense ones."""
    return {
        "bytes_per_token": stored["bytes_per_token"],
        "valid_kl_stored": stored["valid_kl"],
        "valid_kl_dense": dense["valid_kl"],
        "excess": stored["valid_kl"] / dense["valid_kl"] - 1,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, run both systems in turn and compare them."""
    session = Session()
    folder, peaks = prepare("benchmarks.distill_workload")
    steps = options.steps
    precisions = {
        system: precision_by_trial(
            peaks, lambda name, system=system: worker(system, folder, COMPARISONS[0], name, steps, 1)
        )
        for system in (OURS, THEIRS)
    }
    workers = {
        f"{system} {case}": worker(system, folder, case, precisions[system], steps)
        for case in COMPARISONS
        for system in (OURS, THEIRS)
    }
    runs = run_alternating(workers, options.pairs, session.left(options.minutes))
    first = COMPARISONS[0]
    dense = run_worker(worker(DENSE, folder, first, precisions[OURS], steps))
    return {
        "suite": "distill",
        "results": [
            compare(case, runs[f"{OURS} {case}"], runs[f"{THEIRS} {case}"], peaks) for case in COMPARISONS
        ],
        "fidelity": fidelity(runs[f"{OURS} {first}"][0], dense),
        **session.closing(peaks, runs),
    }


if __name__ == "__main__":
    print_result(measure, parse())
