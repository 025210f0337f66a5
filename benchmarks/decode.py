"""How fast the decode engine answers beside the library's own `generate`, on two processor cores.

Both sample the same number of tokens for the same prompts (`ppo_workload`) from the same weights, 32 answers
side by side. `generate` gets them in batches, each of which waits for its longest answer, as a user of it
would; it runs in the dtype that a trial finds faster. The engine writes down log-probabilities and entropies
beside the tokens, `generate` does not. In the first comparison there are just 32 answers to give; in the
second there are 96, so that a free slot can be filled again. The last line on stdout is the result, one JSON
object.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.comparison import Answers, Session, prepare, speed_figures
from benchmarks.harness import (
    Worker,
    command_arguments,
    precision_by_trial,
    print_result,
    run_alternating,
)

ROWS = 32
SIZES = (ROWS, 3 * ROWS)
OURS, THEIRS = "engine", "generate"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one pair, one turn each: does it run at all?")
    parser.add_argument("--pairs", type=int, default=3, help="processes of each system")
    parser.add_argument("--turns", type=int, default=2, help="measured turns of a process; one more warms up")
    parser.add_argument("--minutes", type=float, default=9, help="no round begins that would end later")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.turns = 1, 1
    if min(options.pairs, options.turns) < 1:
        parser.error("`--pairs` and `--turns`: expected 1 or more")
    return options


def worker(system: str, folder: Path, precision: str, answers: int, turns: int) -> Worker:
    """One system with its answers to give."""
    arguments = {
        "--workload": folder,
        "--precision": precision,
        "--answers": answers,
        "--rows": ROWS,
        "--turns": turns,
    }
    return Worker(f"{system} {answers}", f"benchmarks.decode_{system}", command_arguments(arguments))


def compare(answers: int, ours: Answers, theirs: Answers, peaks: Mapping[str, float]) -> dict[str, Any]:
    """One entry of `results`; see `speed_figures`."""
    own, other = ([answer["seconds"] for answer in side] for side in (ours, theirs))
    operations = sum(answer["useful_flops"] for answer in ours)
    return {
        "baseline": f"transformers generate, {ROWS} rows, {answers} answers",
        **speed_figures(ours, theirs, (own, other), operations, peaks),
        "tokens_per_second": sum(answer["tokens"] for answer in ours) / sum(own),
        "baseline_tokens_per_second": sum(answer["tokens"] for answer in theirs) / sum(other),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, run both systems in turn and compare them."""
    session = Session()
    folder, peaks = prepare()
    precisions = {
        system: precision_by_trial(peaks, lambda name, system=system: worker(system, folder, name, ROWS, 1))
        for system in (OURS, THEIRS)
    }
    workers = {
        f"{system} {answers}": worker(system, folder, precisions[system], answers, options.turns)
        for answers in SIZES
        for system in (OURS, THEIRS)
    }
    runs = run_alternating(workers, options.pairs, session.left(options.minutes))
    return {
        "suite": "decode",
        "results": [
            compare(answers, runs[f"{OURS} {answers}"], runs[f"{THEIRS} {answers}"], peaks)
            for answers in SIZES
        ],
        **session.closing(peaks, runs),
    }


if __name__ == "__main__":
    print_result(measure, parse())
