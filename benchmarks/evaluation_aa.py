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
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.evaluation_world import simulate
from benchmarks.gate import wilson
from benchmarks.gate_nights import SHEETS, Model, planted, true_gain
from benchmarks.harness import note, print_result
from configs.load import load_run_config
from tasks.ml.comparing import PAIRS, Comparison, compare

RUNS, QUICK_RUNS = 1000, 4
GAIN = 0.10  # of accuracy
MOST_WRONG = 0.05
BETTER = "aligned"


def evaluation(seed: int, models: Mapping[str, Model], flips: int) -> list[Comparison]:
    """The comparisons of one simulated evaluation."""
    draw = np.random.default_rng(seed)
    return compare(simulate(draw, models), flips, int(draw.integers(2**31)))


def measure_equals(runs: int, flips: int) -> dict[str, Any]:
    """How often any winner at all is named, and how often one would be without a correction."""
    note("equals")
    wrong, uncorrected, metrics, comparisons = 0, 0, Counter[str](), 0
    for seed in range(runs):
        found = evaluation(seed, {}, flips)
        winners = [one.metric for one in found if one.winner]
        metrics.update(winners)
        wrong += bool(winners)
        uncorrected += any(one.p < MOST_WRONG and one.better for one in found)
        comparisons = len(found)
    return {
        "runs": runs,
        "comparisons": comparisons,
        "any_winner": wrong / runs,
        "interval": wilson(wrong, runs),
        "winners_by_metric": dict(metrics),
        "any_uncorrected": uncorrected / runs,
    }


def measure_planted(runs: int, flips: int) -> dict[str, Any]:
    """How often the better model is found, by pair, and how often anybody else is called a winner."""
    note("planted gain")
    model = planted(lambda x: Model(right={"all": x}), GAIN, 2)
    pairs = [pair for pair in PAIRS if pair[0] == BETTER]
    hits, wrong = Counter[tuple[str, str]](), 0
    for seed in range(runs):
        found = evaluation(seed, {BETTER: model}, flips)
        accuracy = [one for one in found if one.metric == "accuracy"]
        hits.update((one.model, one.against) for one in accuracy if one.winner == BETTER)
        wrong += any(one.winner not in (None, BETTER) for one in found)
    return {
        "runs": runs,
        "true_gain": true_gain(model, "right"),
        "found": {f"{ours} over {theirs}": hits[ours, theirs] / runs for ours, theirs in pairs},
        "interval": wilson(hits[pairs[-1]], runs),
        "another_winner": wrong / runs,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything."""
    started = time.monotonic()
    runs = QUICK_RUNS if options.quick else options.runs
    flips = options.flips or load_run_config(None, []).evaluate.flips
    equals = measure_equals(runs, flips)
    better = measure_planted(max(1, runs // options.planted_share), flips)
    return {
        "suite": "evaluation_aa",
        "questions": 7 * SHEETS[0] + 4 * SHEETS[1],
        "contexts": sum(SHEETS),
        "flips": flips,
        "equals": equals,
        "planted": better,
        "as_promised": equals["any_winner"] <= MOST_WRONG,
        "seconds": time.monotonic() - started,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation_aa", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few evaluations: does it run at all?")
    parser.add_argument("--runs", type=int, default=RUNS, help="evaluations of equals")
    parser.add_argument("--planted-share", type=int, default=2, help="times fewer with a planted gain")
    parser.add_argument("--flips", type=int, default=0, help="sets of contexts; 0: as in the default run")
    return parser.parse_args()


if __name__ == "__main__":
    print_result(measure, parse())
