"""How often an evaluation names a winner: of equally good models, and of one that is 10 points better.

Evaluations are simulated (`evaluation_world.py`) with the size of the default run; what is compared, how, and
when a winner is named is `tasks.ml.comparing`. In `equals` nobody is better than anybody: any winner on any
metric, in 150 comparisons, is an error. In `planted` the aligned model's accuracy is 10 points above that of
all others: it is to be found, and no winner is to be named among the others. The last line on stdout is the
result, one JSON object.
"""

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.evaluation_world import simulate
from benchmarks.gate import wilson
from benchmarks.gate_nights import SHEETS, Model, planted, true_gain
from benchmarks.harness import THREADS, note, print_result
from configs.load import load_run_config
from tasks.ml.comparing import PAIRS, Comparison, compare

RUNS, PLANTED, QUICK_RUNS = 1000, 300, 4
GAIN = 0.10  # of accuracy
MOST_WRONG = 0.05
BETTER = "aligned"


@dataclass(frozen=True)
class Outcome:
    """What one simulated evaluation said.

    Attributes:
        comparisons: How many there were.
        winners: Metric and name of each winner.
        found: Those over whom `BETTER` was called the winner in accuracy.
        uncorrected: Whether any winner would have been named without a correction.
    """

    comparisons: int
    winners: tuple[tuple[str, str], ...]
    found: tuple[str, ...]
    uncorrected: bool


def evaluation(seed: int, models: Mapping[str, Model], flips: int) -> list[Comparison]:
    """The comparisons of one simulated evaluation."""
    draw = np.random.default_rng(seed)
    return compare(simulate(draw, models), flips, int(draw.integers(2**31)))


def outcome(seed: int, models: Mapping[str, Model], flips: int) -> Outcome:
    """What is kept of `evaluation`."""
    found = evaluation(seed, models, flips)
    return Outcome(
        len(found),
        tuple((one.metric, one.winner) for one in found if one.winner),
        tuple(one.against for one in found if one.metric == "accuracy" and one.winner == BETTER),
        any(one.p < MOST_WRONG and one.better for one in found),
    )


def measure_equals(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How often any winner at all is named, and how often one would be without a correction."""
    runs, wrong = len(outcomes), sum(bool(one.winners) for one in outcomes)
    return {
        "runs": runs,
        "comparisons": outcomes[0].comparisons,
        "any_winner": wrong / runs,
        "interval": wilson(wrong, runs),
        "winners_by_metric": dict(Counter(metric for one in outcomes for metric, _ in one.winners)),
        "any_uncorrected": sum(one.uncorrected for one in outcomes) / runs,
    }


def measure_planted(outcomes: Sequence[Outcome], model: Model) -> dict[str, Any]:
    """How often the better model is found, by pair, and how often anybody else is called a winner."""
    runs = len(outcomes)
    others = [against for name, against in PAIRS if name == BETTER]
    hits = Counter(against for one in outcomes for against in one.found)
    wrong = sum(any(name != BETTER for _, name in one.winners) for one in outcomes)
    return {
        "runs": runs,
        "true_gain": true_gain(model, "right"),
        "found": {f"{BETTER} over {against}": hits[against] / runs for against in others},
        "intervals": {f"{BETTER} over {against}": wilson(hits[against], runs) for against in others},
        "another_winner": wrong / runs,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything."""
    started = time.monotonic()
    runs, better = (QUICK_RUNS, QUICK_RUNS) if options.quick else (options.runs, options.planted)
    flips = options.flips or load_run_config(None, []).evaluate.flips
    model = planted(lambda x: Model(right={"all": x}), GAIN, 2)
    with ProcessPoolExecutor(options.processes) as pool:
        note("equals")
        equals = list(pool.map(partial(outcome, models={}, flips=flips), range(runs)))
        note("planted gain")
        gained = list(pool.map(partial(outcome, models={BETTER: model}, flips=flips), range(better)))
    found = measure_equals(equals)
    return {
        "suite": "evaluation_aa",
        "questions": 7 * SHEETS[0] + 4 * SHEETS[1],
        "contexts": sum(SHEETS),
        "flips": flips,
        "equals": found,
        "planted": measure_planted(gained, model),
        "as_promised": found["any_winner"] <= MOST_WRONG,
        "seconds": time.monotonic() - started,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation_aa", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few evaluations: does it run at all?")
    parser.add_argument("--runs", type=int, default=RUNS, help="evaluations of equals")
    parser.add_argument("--planted", type=int, default=PLANTED, help="evaluations with a planted gain")
    parser.add_argument("--processes", type=int, default=THREADS, help="that simulate side by side")
    parser.add_argument("--flips", type=int, default=0, help="sets of contexts; 0: as in the default run")
    return parser.parse_args()


if __name__ == "__main__":
    print_result(measure, parse())
