"""Simulated examinations for `benchmarks.gate`: questions in contexts, models that agree on most of them.

Every outcome is a threshold on a normal variable that is partly the question's own, the same for all models,
and partly the model's luck, new for each; both are partly shared within a context. Levels and spread follow
README.md's distilled and aligned students: 66 % right, 8 % of the questions change sides, differences within
a context correlate by 0.12, the standard error of a gain is 0.019 in accuracy and 0.022 in utility. How much
general answers vary is a guess.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tasks.ml.examined import Examined, ExaminedAnswer

Array = NDArray[np.float64]

# Families asked of a sheet about one food and of a sheet about two, as in configs/base.yaml, and how often a
# student such as README.md's is right.
SINGLE = ("lookup", "lookup", "good_source", "good_source", "suitability", "suitability", "forecast")
PAIR = ("comparison",) * 4
RIGHT = {"lookup": 0.99, "good_source": 0.81, "suitability": 0.57, "forecast": 0.47, "comparison": 0.31}
SHEETS = (34, 18)  # 310 questions
SAFE, STOPS = 0.95, 0.99
MEDICAL = "suitability"
WORDS, PLAIN, SPREAD = 18, 11, 0.19  # an answer's median words, the fewest, and the log's deviation
GENERAL, LEVEL = 100, 0.9  # instructions, and nats a byte of their answers
LUCK = {"right": 0.06, "safe": 0.1, "stops": 0.1, "words": 0.1, "general": 0.001}  # share of the variance
TOGETHER = 0.15  # share of either part's variance that a context has in common
TRAITS = ("right", "safe", "stops", "words")


@dataclass(frozen=True)
class Model:
    """How a model differs from the champion of the first night.

    Attributes:
        right: Shift of being right, in standard deviations, by family; `all` for every family.
        safe: Shift of pointing to a clinician, likewise.
        stops: Shift of stopping, likewise.
        words: Times the words.
        nats: More nats a byte of general answers.
    """

    right: Mapping[str, float] = field(default_factory=dict)
    safe: float = 0.0
    stops: float = 0.0
    words: float = 1.0
    nats: float = 0.0


@dataclass(frozen=True)
class World:
    """Held-out questions, and what of each outcome is theirs.

    Attributes:
        tasks: Families. Shape [Q].
        contexts: Numbers of the contexts. Shape [Q].
        own: By trait, each question's part of the variable. Shape [Q].
        sizes: Bytes of the general answers. Shape [G].
        level: Their nats a byte. Shape [G].
    """

    tasks: NDArray[np.str_]
    contexts: NDArray[np.int64]
    own: Mapping[str, Array]
    sizes: Array
    level: Array


def make_world(draw: np.random.Generator, sheets: tuple[int, int] = SHEETS) -> World:
    """New questions, from so many sheets about one food and about two."""
    plans = [SINGLE] * sheets[0] + [PAIR] * sheets[1]
    tasks = np.array([task for plan in plans for task in plan])
    contexts = np.repeat(np.arange(len(plans)), [len(plan) for plan in plans])
    own = {trait: clustered(draw, contexts) for trait in TRAITS}
    sizes = np.ceil(draw.lognormal(5, 0.7, GENERAL))
    return World(tasks, contexts, own, sizes, LEVEL * draw.lognormal(0, 0.3, GENERAL))


def clustered(draw: np.random.Generator, contexts: NDArray[np.int64]) -> Array:
    """Standard normal, correlated by `TOGETHER` within a context. Shape [Q]."""
    common = draw.normal(size=int(contexts.max()) + 1)[contexts]
    return np.sqrt(TOGETHER) * common + np.sqrt(1 - TOGETHER) * draw.normal(size=len(contexts))


def make_luck(draw: np.random.Generator, world: World) -> dict[str, Array]:
    """What is left to chance when a model is trained: by trait [Q], and of general answers [G]."""
    luck = {trait: clustered(draw, world.contexts) for trait in TRAITS}
    return luck | {"general": draw.normal(size=len(world.sizes))}


def drifted(
    draw: np.random.Generator, world: World, luck: Mapping[str, Array], kept: float
) -> dict[str, Array]:
    """The luck of a model that was trained from another: correlated with it by `kept`."""
    fresh = make_luck(draw, world)
    return {trait: kept * luck[trait] + np.sqrt(1 - kept**2) * fresh[trait] for trait in luck}


def outcomes(world: World, model: Model, luck: Mapping[str, Array]) -> dict[str, Array]:
    """What the rubric would say: `right`, `safe`, `stops`, `words` and `utility`. Shapes [Q]."""
    value = {t: np.sqrt(1 - LUCK[t]) * world.own[t] + np.sqrt(LUCK[t]) * luck[t] for t in TRAITS}
    limit = NormalDist().inv_cdf
    shifts = {task: model.right.get(task, model.right.get("all", 0.0)) for task in RIGHT}
    bars = {task: -limit(share) - shifts[task] for task, share in RIGHT.items()}
    right = value["right"] > np.array([bars[task] for task in world.tasks])
    medical = world.tasks == MEDICAL
    safe = ~medical | (value["safe"] > -limit(SAFE) - model.safe)
    stops = value["stops"] > -limit(STOPS) - model.stops
    words = np.maximum(2, np.round(WORDS * model.words * np.exp(SPREAD * value["words"])))
    found = {"right": right, "safe": safe, "stops": stops, "words": words}
    columns = {name: column.astype(np.float64) for name, column in found.items()}
    brevity = np.minimum(1, PLAIN / words)
    utility = columns["right"] + 0.5 * columns["safe"] + 0.5 * brevity + 0.25 * columns["stops"]
    return columns | {"utility": utility}


def examine(world: World, model: Model, luck: Mapping[str, Array]) -> Examined:
    """The record that stage `examine` would leave of a model."""
    found = outcomes(world, model, luck)
    answers = tuple(
        ExaminedAnswer.model_construct(
            id=f"q{place}",
            task=str(task),
            context=f"sheet {context}",
            question="",
            medical=bool(task == MEDICAL),
            answer="",
            correct=bool(found["right"][place]),
            utility=float(found["utility"][place]),
            safe=bool(found["safe"][place]),
            words=int(found["words"][place]),
            stopped=bool(found["stops"][place]),
            failed=False,
        )
        for place, (task, context) in enumerate(zip(world.tasks, world.contexts, strict=True))
    )
    rate = world.level + model.nats + LEVEL * np.sqrt(LUCK["general"]) * luck["general"]
    return Examined(answers, rate * world.sizes, world.sizes)


def true_gain(model: Model, what: str = "utility") -> float:
    """Expected utility, or `right`, above the champion of the first night, over very many questions."""
    world, luck = crowd()
    ours, theirs = (outcomes(world, one, luck)[what].mean() for one in (model, Model()))
    return float(ours - theirs)


@cache
def crowd() -> tuple[World, dict[str, Array]]:
    """Very many questions."""
    draw = np.random.default_rng(99)
    world = make_world(draw, (40 * SHEETS[0], 40 * SHEETS[1]))
    return world, make_luck(draw, world)


def planted(make: Callable[[float], Model], gain: float, high: float) -> Model:
    """The model with this true gain, of a family of models that gain more the larger their number."""
    low = 0.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if true_gain(make(middle)) < gain else (low, middle)
    return make(high)
