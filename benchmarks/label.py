"""How fast questions are labelled beside `generate`, and what it costs to label them again.

Both systems answer the same questions of the default case with the same number of tokens, from the same
weights. `generate` gets them sorted by length in padded batches, of the size and in the dtype that trials
find fastest; ours is the writer of the stage `label` with its records. Then one job is repeated with 0 %,
1 % and 10 % of its questions new, through record shards on the disk. The last line on stdout is the result,
one JSON object.
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
    run_worker,
)

OURS, THEIRS, AGAIN = "ours", "generate", "relabel"
OUR_BATCH = 64  # the stage's
BATCHES = (16, 32, 64)
TRIAL_ANSWERS = 64


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.label", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small pair: does it run at all?")
    parser.add_argument("--pairs", type=int, default=3, help="processes of each system")
    parser.add_argument("--turns", type=int, default=2, help="measured turns of a process; one more warms up")
    parser.add_argument("--answers", type=int, default=256, help="answers of a turn")
    parser.add_argument("--prompts", type=int, default=1200, help="questions to label again; a sixth are new")
    parser.add_argument("--minutes", type=float, default=12, help="no round begins that would end later")
    options = parser.parse_args(arguments)
    options.batches = BATCHES
    if options.quick:
        options.pairs, options.turns, options.answers, options.prompts = 1, 1, 64, 120
        options.batches = (32,)
    if min(options.pairs, options.turns, options.answers) < 1 or options.prompts < 120:
        parser.error("`--pairs`, `--turns`, `--answers`: expected 1 or more; `--prompts`: 120 or more")
    return options


def worker(
    system: str, folder: Path, precision: str, batch: int, answers: int = TRIAL_ANSWERS, turns: int = 1
) -> Worker:
    """One system with its answers to give."""
    arguments = {
        "--system": system,
        "--workload": folder,
        "--precision": precision,
        "--batch": batch,
        "--answers": answers,
        "--turns": turns,
    }
    return Worker(system, "benchmarks.label_worker", command_arguments(arguments))


def compare(ours: Answers, theirs: Answers, peaks: Mapping[str, float]) -> dict[str, Any]:
    """One entry of `results`; see `speed_figures`."""
    own, other = ([answer["seconds"] for answer in side] for side in (ours, theirs))
    operations = sum(answer["useful_flops"] for answer in ours)
    return {
        "baseline": f"transformers generate, sorted, batches of {theirs[0]['batch']}",
        **speed_figures(ours, theirs, (own, other), operations, peaks),
        "tokens_per_second": sum(answer["tokens"] for answer in ours) / sum(own),
        "baseline_tokens_per_second": sum(answer["tokens"] for answer in theirs) / sum(other),
        "answers": ours[0]["answers"],
        "prompt_tokens": ours[0]["prompt_tokens"],
    }


def best_batch(folder: Path, precision: str, batches: Sequence[int]) -> int:
    """The size of batch in which `generate` takes the least time; without a trial where there is but one."""
    if len(batches) == 1:
        return batches[0]
    seconds = {
        size: run_worker(worker(THEIRS, folder, precision, size, 2 * TRIAL_ANSWERS))["seconds"]
        for size in batches
    }
    return min(seconds, key=lambda size: seconds[size])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, tune, run both systems in turn and compare them; then label again."""
    session = Session()
    folder, peaks = prepare()
    tuned = {
        system: precision_by_trial(
            peaks, lambda name, system=system: worker(system, folder, name, options.batches[0])
        )
        for system in (OURS, THEIRS)
    }
    batches = {OURS: OUR_BATCH, THEIRS: best_batch(folder, tuned[THEIRS], options.batches)}
    workers = {
        system: worker(system, folder, tuned[system], batches[system], options.answers, options.turns)
        for system in (OURS, THEIRS)
    }
    again = run_worker(worker(AGAIN, folder, tuned[OURS], OUR_BATCH, options.prompts))
    runs = run_alternating(workers, options.pairs, session.left(options.minutes))
    return {
        "suite": "label",
        "results": [compare(runs[OURS], runs[THEIRS], peaks)],
        "relabel": again,
        **session.closing(peaks, runs),
    }


if __name__ == "__main__":
    print_result(measure, parse())
