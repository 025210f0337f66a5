"""Each way in which a run goes wrong raises its own alarm, and chance raises none."""

import json

import pytest

from configs.schema_ppo import GuardConfig
from tasks.ml.ppo_guard import Guard, not_finite, repetition

LIMITS = GuardConfig(patience=2, entropy_floor=0.2, length_factor=2.0, repetition_rise=0.2, gold_drop=3.0)
FINE = {
    "objective/entropy": 2.0,
    "objective/length": 20.0,
    "objective/repetition": 0.1,
    "objective/scores": 0.0,
    "objective/gold": 1.0,
    "objective/gold_error": 0.03,
}
# Two errors of 0.03 and 0.04 make one of 0.05: three of them are 0.15.
WORSE = {"objective/gold_error": 0.04, "objective/scores": 0.5}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective/entropy": 0.39}, "entropy collapsed from 2.00 to 0.39 nats per token"),
        ({"objective/length": 41.0}, "answers drifted from 20.0 to 41.0 tokens"),
        ({"objective/length": 9.0}, "answers drifted from 20.0 to 9.0 tokens"),
        ({"objective/repetition": 0.31}, "31% of their 3-grams, at first 10%"),
        ({**WORSE, "objective/gold": 0.84}, "the reward rose by 0.50 while gold fell from 1.00 to 0.84"),
    ],
)
def test_the_second_bad_rollout_in_a_row_is_an_alarm(change: dict[str, float], words: str) -> None:
    guard, bad = Guard(LIMITS), {**FINE, **change}
    assert guard.observe(FINE) is None
    assert guard.observe(bad) is None
    assert guard.observe(FINE) is None
    assert guard.observe(bad) is None
    said = guard.observe(bad)
    assert said
    assert words in said


@pytest.mark.parametrize(
    "change",
    [
        {"objective/entropy": 0.41},
        {"objective/length": 39.0},
        {"objective/length": 10.5},
        {"objective/repetition": 0.29},
        {**WORSE, "objective/gold": 0.86},
        # Gold falls, but the reward falls with it: nothing is hacked.
        {**WORSE, "objective/gold": 0.5, "objective/scores": -0.1},
    ],
)
def test_within_the_limits_there_is_no_alarm(change: dict[str, float]) -> None:
    guard = Guard(LIMITS)
    assert [guard.observe(points) for points in (FINE, {**FINE, **change}, {**FINE, **change})] == [None] * 3


def test_gold_is_compared_with_its_best() -> None:
    guard = Guard(LIMITS)
    better = {**FINE, "objective/gold": 1.5, "objective/scores": 0.5}
    # Still well above the first rollout's 1.0, but 0.2 below the best, of which 0.15 could be chance.
    worse = {**FINE, **WORSE, "objective/gold": 1.3, "objective/scores": 0.9}
    assert [guard.observe(points) for points in (FINE, better, worse)] == [None] * 3
    assert guard.observe(worse) == (
        "the reward rose by 0.40 while gold fell from 1.50 to 1.30: it is being hacked"
    )


def test_where_gold_is_unknown_the_rest_is_still_watched() -> None:
    unknown = {name: value for name, value in FINE.items() if "gold" not in name}
    guard = Guard(LIMITS.model_copy(update={"patience": 1}))
    assert guard.observe(unknown) is None
    assert guard.observe({**unknown, "objective/scores": 9.0}) is None
    assert guard.observe({**unknown, "objective/length": 99.0})


def test_numbers_that_are_not_finite_are_an_alarm_at_once() -> None:
    assert Guard(LIMITS).observe({**FINE, "objective/kl": float("nan")}) == "`objective/kl` is nan"
    assert not_finite({"a": 1.0, "b": float("inf"), "c": float("-inf")}) == "`b` is inf, `c` is -inf"


@pytest.mark.parametrize("change", [{"objective/length": 50.0}, {**WORSE, "objective/gold": 0.5}])
def test_a_restored_guard_counts_on(change: dict[str, float]) -> None:
    first, bad = Guard(LIMITS), {**FINE, **change}
    first.observe(FINE)
    first.observe(bad)
    second = Guard(LIMITS)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.observe(bad)


@pytest.mark.parametrize(
    ("response", "share"),
    [
        ((), 0.0),
        ((1, 2), 0.0),
        ((1, 2, 3), 0.0),
        ((1, 2, 3, 1, 2, 3), 0.25),  # 123 231 312 123
        ((5, 5, 5, 5, 5, 5), 0.75),
    ],
)
def test_repetition_is_the_share_of_3_grams_said_before(response: tuple[int, ...], share: float) -> None:
    assert repetition(response) == pytest.approx(share)
