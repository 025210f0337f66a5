"""Drift: planted shifts are found and named, undisturbed nights raise no alarm, limits decide."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from configs.schema import RunConfig
from configs.schema_drift import DriftConfig
from tasks.ml.compared_texts import Rates, Texts, thinned
from tasks.ml.drift import Drift, drift_of

WORDS = [a + b for a in ("fa", "li", "so", "ne", "ru", "ki") for b in ("ta", "mo", "pe", "ni", "go")]
TASKS = ("lookup", "lookup", "comparison", "advice")
Sample = Callable[..., Texts]


@pytest.fixture
def drift_config(config: RunConfig) -> DriftConfig:
    return config.drift.model_copy(update={"draws": 199, "questions": 120})


def sample(contexts: int, seed: object, per: int = 3, fails: float = 0.2) -> Texts:
    """Questions of `per` a context, whose words and votes lean together within a context."""
    draw = random.Random(f"{seed}")
    prompts, tasks, units, counted = [], [], [], []
    for number in range(contexts):
        unit = f"{seed} {number}"
        favourites = draw.sample(WORDS, 6)
        share = fails * draw.uniform(0.5, 1.5)
        for question in range(per):
            words = draw.choices(favourites, k=draw.randint(4, 9)) + draw.choices(WORDS, k=4)
            prompts.append(f"{number} {question} {' '.join(words)}")
            tasks.append(draw.choice(TASKS))
            units.append(unit)
            counted.append(float(sum(draw.random() < share for _ in range(4))))
    rates = Rates(tuple(units), {"fails": (np.array(counted), np.full(len(counted), 4.0))})
    return Texts(tuple(prompts), tuple(tasks), tuple(units), rates)


def sure(drift: Drift) -> set[str]:
    return {one.name for one in drift.measures if one.adjusted <= 0.05}


def test_undisturbed_nights_raise_no_alarm(drift_config: DriftConfig) -> None:
    # 5 % of 100 are 5; eleven or more would come in 1 of 90 such tests if the level were kept.
    nights = [
        drift_of(sample(40, f"old {night}"), sample(12, f"new {night}"), drift_config, night)
        for night in range(100)
    ]
    assert sum(bool(sure(night)) for night in nights) <= 10
    assert sum(night.verdict == "stop" for night in nights) == 0


def test_one_question_of_each_context_raises_no_alarm(drift_config: DriftConfig) -> None:
    # Single questions scatter more than whole contexts of many, so the draws must take single ones too.
    nights = [
        drift_of(sample(40, f"old {night}", per=8), sample(20, f"new {night}", per=1), drift_config, night)
        for night in range(30)
    ]
    assert sum(bool(sure(night)) for night in nights) <= 5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("length", lambda new: replace(new, prompts=tuple(f"{p} fata limo sope" for p in new.prompts))),
        (
            "unknown_words",
            lambda new: replace(new, prompts=tuple(p.replace("fa", "zü") for p in new.prompts)),
        ),
        ("vocabulary", lambda new: replace(new, prompts=tuple(p.replace("fa", "li") for p in new.prompts))),
        ("tasks", lambda new: replace(new, tasks=("advice",) * len(new.tasks))),
        ("fails", lambda new: replace(new, rates=sample(15, "other", fails=0.6).rates)),
    ],
)
def test_a_planted_shift_is_found_under_its_name(
    drift_config: DriftConfig, name: str, change: Callable[[Texts], Texts]
) -> None:
    old, new = sample(40, "old"), sample(15, "new")
    assert sure(drift_of(old, new, drift_config, 0)) == set()
    found = drift_of(old, change(new), drift_config, 0)
    assert name in sure(found)
    assert found.verdict in ("warn", "stop")
    assert any(reason.startswith(name.replace("_", " ")) for reason in found.reasons)


def test_vectors_that_moved_are_found(drift_config: DriftConfig) -> None:
    generator = np.random.default_rng(0)

    def seen(texts: Texts, mean: float) -> Texts:
        # The second number is as large in both; unscaled it would drown the first.
        vectors = {prompt: generator.normal([mean, 0], [1, 1000]) for prompt in texts.prompts[:30]}
        return replace(texts, vectors=vectors)

    old, new = sample(40, "old"), sample(15, "new")
    still = drift_of(seen(old, 0), seen(new, 0), drift_config, 0)
    moved = drift_of(seen(old, 0), seen(new, 3), drift_config, 0)
    assert "embedding" in {one.name for one in still.measures}
    assert sure(still) == set()
    assert sure(moved) == {"embedding"}


def test_a_sure_shift_counts_only_from_its_limit_on(drift_config: DriftConfig) -> None:
    old, new = sample(40, "old"), sample(15, "new")
    new = replace(new, tasks=("advice",) * len(new.tasks))
    [tasks] = [one for one in drift_of(old, new, drift_config, 0).measures if one.name == "tasks"]
    # A quarter of the old are advice, so three quarters would have to change, less what chance does.
    assert tasks.shift == pytest.approx(0.75, abs=0.1)
    assert tasks.excess == pytest.approx(tasks.shift - tasks.chance)

    def verdict(warn: float, stop: float) -> str:
        limits = drift_config.limits.model_copy(
            update={"tasks": drift_config.limits.tasks.model_copy(update={"warn": warn, "stop": stop})}
        )
        return drift_of(old, new, drift_config.model_copy(update={"limits": limits}), 0).verdict

    assert verdict(0.3, tasks.excess - 0.001) == "stop"
    assert verdict(0.3, tasks.excess + 0.001) == "warn"
    assert verdict(tasks.excess + 0.001, 1) == "go"


def test_a_limit_of_one_never_stops(drift_config: DriftConfig) -> None:
    # All words new is a shift of 1 where chance has nearly 0.
    never = {"warn": 0.1, "stop": 1.0}
    limits = {
        name: drift_config.limits.tasks.model_copy(update=never)
        for name in type(drift_config.limits).model_fields
    }
    config = drift_config.model_copy(update={"limits": drift_config.limits.model_copy(update=limits)})
    new = sample(15, "new")
    new = replace(new, prompts=tuple(f"word {place}" for place in range(45)), tasks=("x",) * 45)
    assert drift_of(sample(40, "old"), new, config, 0).verdict == "warn"


def test_a_prompt_of_both_sides_is_compared_with_other_contexts(drift_config: DriftConfig) -> None:
    old = sample(20, "old")
    new = Texts(old.prompts[:9], old.tasks[:9], old.units[:9])
    found = drift_of(old, new, drift_config, 0)
    assert found.questions == (51, 9)
    assert found.contexts == (20, 3)
    assert sure(found) == set()


def test_the_same_questions_judged_again_are_still_compared(drift_config: DriftConfig) -> None:
    # People are asked the same questions about another model: its answers fail more often.
    old = sample(40, "old", fails=0.1)
    again = replace(old, rates=sample(40, "old", fails=0.5).rates)
    found = drift_of(old, again, drift_config, 0)
    assert [one.name for one in found.measures] == ["fails"]
    assert sure(found) == {"fails"}
    assert found.measures[0].before < 0.15 < 0.4 < found.measures[0].now  # type: ignore[operator]
    assert found.notes[0] == "prompts not compared: there is nothing of other contexts to compare with"


def test_what_cannot_be_compared_is_said(drift_config: DriftConfig) -> None:
    found = drift_of(replace(sample(20, "old"), rates=None), sample(5, "new"), drift_config, 0)
    assert found.notes == (
        "embedding not compared: there is nothing new",
        "judgements not compared: there is nothing new",
    )
    assert {one.name for one in found.measures} == {"length", "unknown_words", "vocabulary", "tasks"}


def test_new_words_are_named_from_three_contexts_on(drift_config: DriftConfig) -> None:
    new = sample(6, "new")
    prompts = [f"{prompt} once" if place == 0 else prompt for place, prompt in enumerate(new.prompts)]
    # Three contexts have `keto`, two have `vegan`, however often.
    prompts = [f"{p} keto" if place in (0, 3, 6) else p for place, p in enumerate(prompts)]
    prompts = [f"{p} vegan vegan" if place in (9, 10, 12) else p for place, p in enumerate(prompts)]
    found = drift_of(sample(20, "old"), replace(new, prompts=tuple(prompts)), drift_config, 0)
    assert found.words == (("keto", 3),)


def test_the_same_seed_says_the_same_whatever_the_order(drift_config: DriftConfig) -> None:
    old, new = sample(30, "old"), sample(10, "new")
    assert drift_of(old, new, drift_config, 4) == drift_of(old, new, drift_config, 4)


def test_fewer_texts_are_a_part_of_more_and_keep_contexts_whole() -> None:
    texts = sample(20, "old")
    few, more = thinned(texts, 12, seed=1), thinned(texts, 30, seed=1)
    assert len(few.prompts) == 12
    assert set(few.prompts) < set(more.prompts)
    assert all(few.units.count(unit) == 3 for unit in few.units)
    assert few.rates is not None
    counted, of = few.rates.counts["fails"]
    assert len(counted) == len(of) == len(few.rates.units) == 12
    place = texts.units.index(few.rates.units[0])
    assert texts.rates is not None
    assert counted[:3].tolist() == texts.rates.counts["fails"][0][place : place + 3].tolist()
