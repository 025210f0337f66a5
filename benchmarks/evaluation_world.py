"""Simulated evaluations for `benchmarks.evaluation_aa`: five models, and every metric that is compared.

Outcomes of the rubric are those of `gate_nights`: partly the question's own, partly the model's luck, both
partly shared within a context. The other metrics hang on the same variables, as they do in life: an answer
that is right overlaps more with the gold answer, is dearer to the reward model and was surer. How much they
vary is a guess; under the hypothesis that models are equally good it does not matter.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.gate_nights import Array, Model, World, clustered, make_luck, make_world, outcomes
from tasks.ml.answer_columns import WIN_MARGIN, column, statistic_column, wins
from tasks.ml.calibration import BINS, calibration_error, reliability_of
from tasks.ml.columns import Column, Sample, Statistic
from tasks.ml.comparing import PAIRS

MODELS = tuple(dict.fromkeys(name for pair in PAIRS for name in pair))
WORDS, BIGRAMS = 16, 400  # bigrams of an answer, and different ones of the language of answers
NATS = 0.6  # nats a token of a gold answer
TOKENS, BYTES = 12, 40
ALIKE = 0.5  # share of a metric's variance that is the question's own
LATENCIES = 16  # questions answered alone


def simulate(draw: np.random.Generator, models: Mapping[str, Model]) -> list[Sample]:
    """One evaluation on new questions: what stage `evaluate` would compare.

    Args:
        draw: Of all that is left to chance.
        models: Those that are better or worse than the rest, by name.
    """
    world = make_world(draw)
    found = {name: outcomes(world, models.get(name, Model()), make_luck(draw, world)) for name in MODELS}
    columns = [*_rubric(world, found), *_others(draw, world, found), *_statistics(draw, world, found)]
    ids = tuple(f"q{place}" for place in range(len(world.tasks)))
    held_out = Sample("held_out", ids, world.contexts, tuple(columns))
    return [held_out, _general(draw, world)]


def _rubric(world: World, found: Mapping[str, Mapping[str, Array]]) -> Iterator[Column]:
    right = {name: own["right"] for name, own in found.items()}
    yield column("accuracy", "share", "higher", right)
    for task in np.unique(world.tasks):
        inside = (world.tasks == task).astype(np.float64)
        yield Column(f"accuracy_{task}", "share", "higher", right, inside)
        if task == "forecast":
            yield Column("forecast_within_10", "share", "higher", right, inside)
    utility = {name: own["utility"] for name, own in found.items()}
    yield column("gold_utility", "utility", "higher", utility)
    yield wins("gold_win_rate", utility, WIN_MARGIN)
    yield column("stop_rate", "share", "higher", {name: own["stops"] for name, own in found.items()})
    yield column("words", "words", None, {name: own["words"] for name, own in found.items()})


def _others(
    draw: np.random.Generator, world: World, found: Mapping[str, Mapping[str, Array]]
) -> Iterator[Column]:
    """Means of values that hang on whether the answer is right."""
    inside = (world.tasks == "forecast").astype(np.float64)
    off = _related(draw, world, found, 0.0)
    wrong = {name: (1 - own["right"]) * np.exp(3 + off[name]) for name, own in found.items()}
    yield Column("forecast_error", "kcal", "lower", wrong, inside)
    stated = {name: (own > -2).astype(np.float64) for name, own in off.items()}
    yield Column("forecast_stated", "share", "higher", stated, inside)
    reward = _related(draw, world, found, 1.0)
    yield column("reward", "standard deviations", "higher", reward)
    yield wins("reward_win_rate", reward, 0.1)
    overlap = _related(draw, world, found, 1.0)
    for metric, unit, scale in (("rouge_l", "share", 1.0), ("chrf", "points", 100.0)):
        near = _related(draw, world, found, 1.0)
        own = {name: scale / (1 + np.exp(-overlap[name] - 0.5 * near[name])) for name in found}
        yield column(metric, unit, "higher", own)
    again = _related(draw, world, found, 0.0)
    yield column(
        "repetition", "share", "lower", {n: np.maximum(0, own - 1.5) / 5 for n, own in again.items()}
    )
    weights = np.zeros(len(world.tasks))
    weights[np.unique(world.contexts, return_index=True)[1][:LATENCIES]] = 1
    seconds = {name: np.exp(0.3 * own) for name, own in _related(draw, world, found, 0.0).items()}
    yield Column("latency", "seconds", "lower", seconds, weights)


def _statistics(
    draw: np.random.Generator, world: World, found: Mapping[str, Mapping[str, Array]]
) -> Iterator[Column]:
    """Confidence with its errors, likelihoods, and the variety of all answers."""
    sure = {n: 1 / (1 + np.exp(-1 - own)) for n, own in _related(draw, world, found, 0.7).items()}
    yield column("confidence", "share", None, sure)
    yield column("brier", "squared share", "lower", {n: (sure[n] - found[n]["right"]) ** 2 for n in found})
    errors = {name: _calibration_error(sure[name], found[name]["right"]) for name in found}
    yield statistic_column("calibration_error", "share", "lower", errors, world.contexts)
    nats = {n: NATS * np.exp(0.4 * own) for n, own in _related(draw, world, found, 0.0).items()}
    weights = np.zeros(len(world.tasks))
    weights[:90] = BYTES
    bits = {name: own * TOKENS / BYTES / np.log(2) for name, own in nats.items()}
    yield Column("bits_per_byte", "bits per byte", "lower", bits, weights)
    perplexities = {name: _perplexity(own) for name, own in nats.items()}
    yield statistic_column(
        "perplexity", "per token", "lower", perplexities, world.contexts, dict.fromkeys(perplexities, weights)
    )
    own = draw.zipf(1.5, (len(world.tasks), WORDS)) % BIGRAMS
    varied = {}
    for name in found:
        new = draw.random((len(world.tasks), WORDS)) < ALIKE
        varied[name] = _distinct(np.where(new, draw.zipf(1.5, own.shape) % BIGRAMS, own))
    yield statistic_column("distinct_2", "share", None, varied, world.contexts)


def _related(
    draw: np.random.Generator, world: World, found: Mapping[str, Mapping[str, Array]], on_right: float
) -> dict[str, Array]:
    """By model, values that are partly the question's own and rise by `on_right` where it is right. [Q]."""
    common = np.sqrt(ALIKE) * clustered(draw, world.contexts)
    luck = np.sqrt(1 - ALIKE)
    return {
        name: common + luck * clustered(draw, world.contexts) + on_right * own["right"]
        for name, own in found.items()
    }


def _general(draw: np.random.Generator, world: World) -> Sample:
    """General instructions, each a context of its own."""
    count = len(world.sizes)
    nats = {
        name: world.level + 0.01 * draw.normal(size=count) for name in MODELS if name != "teacher_few_shot"
    }
    rate = Column("general_nll_per_byte", "nats per byte", "lower", nats, world.sizes)
    return Sample("general", tuple(f"g{n}" for n in range(count)), np.arange(count), (rate,))


def _calibration_error(sure: Array, right: Array) -> Statistic:
    return lambda places: calibration_error(reliability_of(sure[places], right[places], BINS))


def _perplexity(nats: Array) -> Statistic:
    return lambda places: float(np.exp(nats[places].mean()))


def _distinct(grams: np.ndarray[Any, Any]) -> Statistic:
    return lambda places: len(np.unique(grams[places])) / grams[places].size
