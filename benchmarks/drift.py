"""How often drift is found where there is none, and where it was planted.

Every night has a training set and new questions about USDA foods of its own, with votes on the answers that
lean together within a context. On undisturbed nights nothing may be called sure in more than 5 % of them; on
the others one thing is changed. The last line on stdout is the result, one JSON object.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import note, print_result
from configs.load import load_run_config
from configs.schema_drift import DriftConfig
from tasks.feedback.drift_texts import context_of
from tasks.ml.compared_texts import Rates, Texts, thinned
from tasks.ml.drift import Drift, drift_of
from tasks.ml.facts import Food, load_foods
from tasks.ml.matched_draws import Values
from tasks.ml.prompts import user_text
from tasks.ml.questions import Style, make_rows, make_sheets
from tasks.ml.seeding import random_for, stable_hash

NIGHTS, PLANTED, QUICK = 200, 40, 3
NEW_QUESTIONS, ANSWERS, ANNOTATORS = 160, 4, 3
EMBEDDED, WIDTH = 150, 24
PLOT = Path(".retort/benchmarks/drift.png")
Change = Callable[[Texts, int], Texts]


@cache
def foods() -> list[Food]:
    """The fact table of the nutrition case."""
    return load_foods(Path(load_run_config(None, []).data.source))


def sample(sheets: tuple[int, int], *identity: object, nutrients: int = 6) -> Texts:
    """Questions about single foods and pairs of them, as the nutrition case asks them, and votes."""
    data = load_run_config(None, []).data
    asked: dict[str, str] = {}
    plans = (data.single_plan, data.pair_plan)
    for shown, (count, plan) in enumerate(zip(sheets, plans, strict=True), start=1):
        width = nutrients if shown == 1 else data.pair_nutrients
        for sheet in make_sheets(foods(), count, shown, width, *identity):
            for row in make_rows(sheet, "train", plan, Style(0, 0), stable_hash(*identity)):
                if row.answer is not None:
                    asked.setdefault(user_text(row), row.task)
    prompts = tuple(asked)
    units = tuple(map(context_of, prompts))
    return Texts(prompts, tuple(asked.values()), units, votes(units, 0.12, 0.25, *identity))


def votes(units: Sequence[str], fails: float, ties: float, *identity: object) -> Rates:
    """Rankings of the answers to each question; contexts differ in how many answers fail or tie."""
    draw = np.random.default_rng(stable_hash("votes", *identity))
    own = {unit: draw.beta(4, 4, 2) * 2 for unit in dict.fromkeys(units)}
    repeated = tuple(unit for unit in units for _ in range(ANNOTATORS))
    lean = np.array([own[unit] for unit in repeated])
    pairs = ANSWERS * (ANSWERS - 1) // 2
    counts = {
        "fails": (draw.binomial(ANSWERS, np.clip(fails * lean[:, 0], 0, 1)).astype(float), ANSWERS),
        "ties": (draw.binomial(pairs, np.clip(ties * lean[:, 1], 0, 1)).astype(float), pairs),
    }
    whole = {name: (counted, np.full(len(repeated), float(of))) for name, (counted, of) in counts.items()}
    return Rates(repeated, whole)


def one_of_each(new: Texts, night: int) -> Texts:
    """One question of each context: no drift, but other sizes than training has."""
    order = random_for("one", night).sample(range(len(new.units)), len(new.units))
    picked = {new.units[place]: place for place in order}
    return some(new, sorted(picked.values()), night)


def other_tasks(new: Texts, night: int) -> Texts:
    """Half of the lookups and forecasts are missing."""
    draw = random_for("tasks", night)
    kept = [
        i for i, task in enumerate(new.tasks) if task not in ("lookup", "forecast") or draw.random() < 0.5
    ]
    return some(new, kept, night)


def new_words(new: Texts, night: int) -> Texts:
    """Three in ten questions name a diet that training never speaks of."""
    draw = random_for("words", night)
    diets = ("ketogenic", "macrobiotic", "flexitarian", "paleolithic")
    prompts = tuple(
        f"{prompt} I live on a {draw.choice(diets)} regimen." if draw.random() < 0.3 else prompt
        for prompt in new.prompts
    )
    return replace(new, prompts=prompts)


def longer(new: Texts, night: int) -> Texts:
    """Half of the questions come with fifteen more words, nearly all of them known."""
    draw = random_for("longer", night)
    tail = " How much energy is in it? Which of the two is suitable for high blood pressure?"
    return replace(new, prompts=tuple(p + tail if draw.random() < 0.5 else p for p in new.prompts))


def more_fails(new: Texts, night: int) -> Texts:
    """Twice as many answers are marked F."""
    return replace(new, rates=votes(new.units, 0.24, 0.25, "fails", night))


def another_subject(new: Texts, night: int) -> Texts:
    """Questions that have nothing to do with food."""
    draw = random_for("subject", night)
    subjects = ("invoice", "contract", "shipment", "warranty", "refund", "account")
    verbs = ("cancel", "change", "confirm", "dispute", "extend", "find")
    prompts = [
        f"Please help me {draw.choice(verbs)} my {draw.choice(subjects)} number {number}, dear support team."
        for number in range(len(new.prompts))
    ]
    return Texts(tuple(prompts), ("question",) * len(prompts), tuple(prompts), new.rates)


def some(texts: Texts, kept: Sequence[int], night: int) -> Texts:
    """These prompts, with votes on the answers to them."""
    columns = (texts.prompts, texts.tasks, texts.units)
    prompts, tasks, units = (tuple(column[place] for place in kept) for column in columns)
    return Texts(prompts, tasks, units, votes(units, 0.12, 0.25, "some", night))


SCENES: dict[str, Change | None] = {
    "none": None,
    "none, one question of each context": one_of_each,
    "tasks": other_tasks,
    "new words": new_words,
    "longer": longer,
    "more fails": more_fails,
    "another subject": another_subject,
}


def with_vectors(texts: Texts) -> Texts:
    """A stand-in for the student: each word has a random vector, a prompt has their mean."""
    part = thinned(texts, EMBEDDED, 0)
    return replace(texts, vectors={prompt: _mean_vector(prompt) for prompt in part.prompts})


def _mean_vector(prompt: str) -> Values:
    return np.mean([_word_vector(word) for word in prompt.split()], axis=0)


@cache
def _word_vector(word: str) -> Values:
    return np.random.default_rng(stable_hash("vector", word)).standard_normal(WIDTH)


def night_of(scene: str, night: int, config: DriftConfig) -> Drift:
    """One night of a kind."""
    reference = sample((160, 56), "train", night)
    change = SCENES[scene]
    sheets = (80, 28) if change is one_of_each else (24, 9)
    new = thinned(sample(sheets, "new", night), NEW_QUESTIONS if change is not one_of_each else 10**6, night)
    new = change(new, night) if change else new
    return drift_of(with_vectors(reference), with_vectors(new), config, night)


def entry(scene: str, nights: int, config: DriftConfig) -> dict[str, Any]:
    """What was said on the nights of one kind."""
    found, sure = Counter[str](), Counter[str]()
    excess: dict[str, list[float]] = {}
    alarms = 0
    for night in range(nights):
        note(f"{scene}: night {night + 1} of {nights}")
        drift = night_of(scene, night, config)
        found[drift.verdict] += 1
        named = [one.name for one in drift.measures if one.adjusted <= config.level]
        alarms += bool(named)
        sure.update(named)
        for one in drift.measures:
            excess.setdefault(one.name, []).append(one.excess)
    return {
        "scene": scene,
        "nights": nights,
        "sure": alarms,
        "sure_by_measure": dict(sure),
        "verdicts": dict(found),
        "excess": {name: round(float(np.median(values)), 4) for name, values in excess.items()},
    }


def draw_bars(results: Sequence[dict[str, Any]], path: Path) -> None:
    """How often something is called sure, and how often the verdict is warn or stop, by scene."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(results))
    for offset, name in ((-0.2, "sure"), (0.2, "warn or stop")):
        shares = [
            100
            * (one["sure"] if name == "sure" else one["nights"] - one["verdicts"].get("go", 0))
            / one["nights"]
            for one in results
        ]
        axes.barh(places + offset, shares, 0.38, label=name)
    axes.axvline(5, color="0.4", linestyle=":", linewidth=1)
    axes.set_yticks(places, [one["scene"] for one in results])
    axes.invert_yaxis()
    axes.set(xlabel="nights, %", xlim=(0, 100))
    axes.legend(loc="upper right", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every scene."""
    started = time.monotonic()
    base = load_run_config(None, []).drift
    config = base.model_copy(update={"draws": options.draws, "questions": options.questions})
    results = [
        entry(scene, options.nights if scene.startswith("none") else options.planted, config)
        for scene in SCENES
    ]
    draw_bars(results, PLOT)
    undisturbed = [one for one in results if one["scene"].startswith("none")]
    return {
        "suite": "drift",
        "false_alarms": sum(one["sure"] for one in undisturbed) / sum(one["nights"] for one in undisturbed),
        "results": results,
        "plot": str(PLOT),
        "seconds": round(time.monotonic() - started, 1),
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three nights of each: does it run at all?")
    parser.add_argument("--nights", type=int, default=NIGHTS, help="undisturbed nights of each kind")
    parser.add_argument("--planted", type=int, default=PLANTED, help="nights of each planted drift")
    parser.add_argument("--draws", type=int, default=199, help="draws of each test")
    parser.add_argument("--questions", type=int, default=400, help="most questions compared of either side")
    options = parser.parse_args()
    if options.quick:
        options.nights = options.planted = QUICK
    return options


if __name__ == "__main__":
    print_result(measure, parse())
