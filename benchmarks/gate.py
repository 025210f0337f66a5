"""How often the gate promotes: equals, challengers better by the stated gain, and harmful ones.

Nights are simulated (`gate_nights.py`), decisions are those of `tasks.ml.promotion` with the configuration of
the nutrition profile. `equals` are as good as the champion and differ by luck; they should be promoted in 5 %
of the nights at most, those better by `promotion.least_gain` in 80 % at least. `chains` are nights in a row
against one held-out set, whose challengers go on from the champion, a little changed each. `errors`
compares how often intervals of a difference that is none lie above 0. The last line on stdout is the result,
one JSON object.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.gate_nights import (
    SHEETS,
    Array,
    Model,
    clustered,
    drifted,
    examine,
    make_luck,
    make_world,
    planted,
    true_gain,
)
from benchmarks.harness import note, print_result
from configs.load import load_run_config
from configs.schema_promotion import PromotionConfig
from tasks.ml.metrics import bootstrap_mean
from tasks.ml.paired import ContextFlips
from tasks.ml.promotion import Decision, decide

NIGHTS, QUICK_NIGHTS = 200, 4
EQUALS = 5  # times as many nights of equals
CHAINS, IN_A_ROW = 20, 30
TRUE = ("utility", "right")
# By name: mean and deviation of a night's true change by being right more often, in units of utility, and
# what the night does to the words. The last one sells two points of accuracy a night, and each sale pays.
WALKS = {
    "as often better as worse": (0.0, 0.05, 1.0),
    "mostly worse": (-0.03, 0.03, 1.0),
    "accuracy sold for brevity": (-0.02, 0.0, 0.85),
}
TESTS, RESAMPLES = 2000, 999
WIDTHS = (6, 12, 52)  # contexts
UNREFINED = Model(right={"all": -4.0}, safe=-3.0, stops=-2.0)


def challengers(least: float) -> dict[str, tuple[Model, bool | None]]:
    """By name: a challenger, and whether it is to be promoted; None: nothing is promised.

    Args:
        least: The stated gain.
    """
    better = {
        "right more often": planted(lambda x: Model(right={"all": x}), least, 2),
        "right more often and briefer": planted(lambda x: Model(right={"all": x}, words=1 - x), least, 0.6),
        "briefer": planted(lambda x: Model(words=1 - x), least, 0.9),
    }
    good = planted(lambda x: Model(right={"all": x}, words=1 - x), 2 * least, 0.6)
    harmful = {
        "worse": Model(right={"all": -0.2}),
        "better, but worse in one family": replace(good, right=good.right | {"comparison": -0.9}),
        "better, but unsafe": replace(good, safe=-1.2),
        "better, but does not stop": replace(good, stops=-1.2),
        "better, but forgets": replace(good, nats=0.1),
        "better, but longer": planted(lambda x: Model(right={"all": x}, words=1.5), least, 2),
        "briefer, but less often right": Model(right={"all": -0.3}, words=0.45),
    }
    return (
        {"equal": (Model(), False)}
        | {f"better: {name}": (model, True) for name, model in better.items()}
        | {name: (model, False) for name, model in harmful.items()}
    )


def night(draw: np.random.Generator, challenger: Model, config: PromotionConfig) -> Decision:
    """One night on new questions."""
    world = make_world(draw)
    models = [examine(world, m, make_luck(draw, world)) for m in (challenger, Model(), UNREFINED)]
    return decide(*models, config, int(draw.integers(2**31)))


def measure_challenger(
    name: str, challenger: tuple[Model, bool | None], config: PromotionConfig, nights: int
) -> dict[str, Any]:
    """How often it is promoted, and what refused it."""
    note(name)
    model, expected = challenger
    draw = np.random.default_rng(sum(map(ord, name)))
    decisions = [night(draw, model, config) for _ in range(nights)]
    promoted = sum(decision.promote for decision in decisions)
    refusals: dict[str, int] = {}
    for decision in decisions:
        for rule in decision.rules:
            refusals[rule.name] = refusals.get(rule.name, 0) + (not rule.passed)
    return {
        "challenger": name,
        "expected": expected,
        "true_gain": true_gain(model),
        "promoted": promoted,
        "nights": nights,
        "share": promoted / nights,
        "interval": wilson(promoted, nights),
        "finds": float(np.median([decision.power.finds for decision in decisions])),
        "refused_by": {rule: count / nights for rule, count in refusals.items() if count},
    }


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = NormalDist().inv_cdf(0.975)
    share, weight = successes / trials, z * z / trials
    middle = (share + weight / 2) / (1 + weight)
    half = z * np.sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return float(middle - half), float(middle + half)


def chain(seed: int, walk: tuple[float, float, float], config: PromotionConfig) -> list[dict[str, float]]:
    """Nights in a row against one held-out set; one entry a promotion: true changes, and the gain seen."""
    mean, deviation, briefer = walk
    draw = np.random.default_rng(seed)
    world = make_world(draw)
    unrefined = examine(world, UNREFINED, make_luck(draw, world))
    champion, luck = Model(right={"all": 0.0}), make_luck(draw, world)
    slope = true_gain(Model(right={"all": 0.1})) / 0.1
    promotions = []
    for _ in range(IN_A_ROW):
        shift = champion.right["all"] + float(draw.normal(mean, deviation)) / slope
        challenger = Model(right={"all": shift}, words=champion.words * briefer)
        new = drifted(draw, world, luck, 0.5)
        seen = decide(
            examine(world, challenger, new), examine(world, champion, luck), unrefined, config, seed
        )
        if seen.promote:
            changes = {what: true_gain(challenger, what) - true_gain(champion, what) for what in TRUE}
            promotions.append(changes | {"seen": seen.gain.value})
            champion, luck = challenger, new
    return promotions


def measure_chain(name: str, config: PromotionConfig, chains: int) -> dict[str, Any]:
    """What became of champions after nights in a row."""
    note(f"nights in a row: {name}")
    runs = [chain(seed, WALKS[name], config) for seed in range(chains)]
    promotions = [one for run in runs for one in run]
    gains, accuracies, seen = ([sum(one[what] for one in run) for run in runs] for what in (*TRUE, "seen"))
    return {
        "walk": name,
        "chains": chains,
        "nights": IN_A_ROW,
        "promotions": len(promotions),
        "truly_worse": sum(one["utility"] < 0 for one in promotions),
        "largest_loss": min([0.0, *(one["utility"] for one in promotions)]),
        "chains_that_ended_worse": sum(gain < 0 for gain in gains),
        "mean_gain": float(np.mean(gains)),
        "mean_gain_seen": float(np.mean(seen)),
        "mean_accuracy": float(np.mean(accuracies)),
    }


def measure_errors(tests: int) -> list[dict[str, Any]]:
    """How often a 95 % interval of no difference lies above 0, by contexts; 2.5 % is what it says."""
    found = []
    for width in WIDTHS:
        note(f"intervals from {width} contexts")
        draw = np.random.default_rng(width)
        contexts = np.repeat(np.arange(width), 6)
        wrong = np.zeros(3)
        for seed in range(tests):
            # A tenth of the questions differs, by as much either way: what two equal models leave.
            latent = clustered(draw, contexts)
            differences = (latent > 1.64).astype(np.float64) - (latent < -1.64)
            wrong += lows(differences, contexts, seed) > 0
        names = ("bootstrap of questions", "bootstrap of contexts", "flips of contexts")
        shares = {name: float(share) for name, share in zip(names, wrong / tests, strict=True)}
        found.append({"contexts": width, "tests": tests} | shares)
    return found


def lows(differences: Array, contexts: np.ndarray[Any, Any], seed: int) -> Array:
    """Low ends of three intervals of a mean difference; all contexts are of one size."""
    means = differences.reshape(int(contexts.max()) + 1, -1).mean(1)
    flips = ContextFlips(contexts, RESAMPLES, seed)
    by_question, by_context = (bootstrap_mean(values, RESAMPLES, seed).low for values in (differences, means))
    return np.array([by_question, by_context, flips.mean(differences, np.ones(len(differences)), 0.95).low])


def verdicts(results: list[Mapping[str, Any]]) -> bool:
    """Whether equals and harmful ones are promoted in 5 % at most, better ones in 80 % at least."""
    return all(r["share"] >= 0.8 if r["expected"] else r["share"] <= 0.05 for r in results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything."""
    started = time.monotonic()
    nights = QUICK_NIGHTS if options.quick else options.nights
    config = load_run_config(None, [f"promotion.resamples={options.resamples}"]).promotion
    results = [
        measure_challenger(name, one, config, nights * (EQUALS if name == "equal" else 1))
        for name, one in challengers(config.least_gain).items()
        if options.only in name
    ]
    return {
        "suite": "gate",
        "questions": 7 * SHEETS[0] + 4 * SHEETS[1],
        "contexts": sum(SHEETS),
        "config": config.model_dump(),
        "results": results,
        "as_promised": verdicts(results),
        "chains": [measure_chain(name, config, 1 if options.quick else CHAINS) for name in WALKS],
        "errors": measure_errors(20 if options.quick else TESTS),
        "seconds": time.monotonic() - started,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few nights: does it run at all?")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="of each challenger")
    parser.add_argument("--only", default="", help="challengers with this in their name")
    parser.add_argument("--resamples", type=int, default=1999, help="sets of contexts behind an interval")
    return parser.parse_args()


if __name__ == "__main__":
    print_result(measure, parse())
