"""The comparison of learning curves against values worked by hand."""

from typing import Any

import pytest

from benchmarks.learning_workload import reward
from benchmarks.ppo_learning import (
    compare,
    crossing,
    episodes_to_reach,
    final_reward,
    kl_at_equal_reward,
    share_in_band,
    smoothed,
    value_at,
)


def run(rewards: list[float], kl: list[float] | None = None) -> dict[str, Any]:
    return {"rewards": rewards, "kl": kl or rewards, "episodes_per_update": 64}


def test_the_final_reward_is_that_of_the_last_tenth() -> None:
    assert final_reward([0.0] * 18 + [1.0, 2.0]) == 1.5
    assert final_reward([0.0, 3.0]) == 3.0


def test_smoothing_looks_back_a_tenth() -> None:
    curve = [0.0, 2.0, 4.0] + [4.0] * 17
    assert smoothed(curve)[:4] == [0.0, 1.0, 3.0, 4.0]


def test_a_level_is_crossed_between_two_updates() -> None:
    assert crossing([0.0, 1.0, 3.0], 2.0) == 1.5
    assert crossing([1.0, 0.0], 0.5) == 0.0
    assert crossing([0.0, 1.0], 2.0) is None
    assert value_at([0.0, 1.0, 3.0], 1.5) == 2.0
    assert value_at([0.0, 1.0, 3.0], 2.0) == 3.0


def test_episodes_are_counted_from_the_first_rollout() -> None:
    # Reached half-way between the second and the third rollout of 64.
    assert episodes_to_reach(run([0.0, 1.0, 3.0]), 2.0) == 2.5 * 64
    assert episodes_to_reach(run([0.0, 1.0]), 2.0) is None


def test_kl_is_compared_at_equal_reward() -> None:
    ours = [run([0.0, 1.0, 2.0], [0.0, 1.0, 4.0])]
    theirs = [run([0.0, 2.0, 4.0], [0.0, 6.0, 9.0])]
    # Shared rise 0 to 2; ours passes 0.5, 1, 1.5, 2 at updates 0.5, 1, 1.5, 2, theirs at half of that.
    expected = [(0.5, 0.5, 1.5), (1.0, 1.0, 3.0), (1.5, 2.5, 4.5), (2.0, 4.0, 6.0)]
    points = kl_at_equal_reward(ours, theirs)
    assert [(p["reward"], p["kl"], p["baseline_kl"]) for p in points] == expected


def test_the_band_is_a_deviation_below_the_baselines_mean() -> None:
    # Baseline: mean 1, deviation sqrt(2) at both updates, so the floor is -0.414.
    theirs = [run([0.0, 0.0]), run([2.0, 2.0])]
    assert share_in_band([run([-0.4, -0.5])], theirs) == 0.5


def test_comparison_of_two_seeds() -> None:
    ours = [run([0.0, 1.0, 2.0]), run([0.0, 1.0, 2.2])]
    theirs = [run([0.0, 1.0, 1.9]), run([0.0, 1.0, 2.1])]
    entry = compare(ours, theirs)
    assert entry["final_rewards"] == [2.0, 2.2]
    assert entry["baseline_final_reward"] == pytest.approx(2.0)
    assert entry["baseline_final_deviation"] == pytest.approx(0.02**0.5)
    assert entry["within_band"]
    assert entry["episodes_to_baseline_final"] == pytest.approx([3 * 64, (2 + 1 / 1.2) * 64])
    assert entry["baseline_episodes_to_baseline_final"][0] is None
    assert entry["kl_ratio"] == pytest.approx(1.0)


def test_the_task_rewards_even_tokens() -> None:
    assert reward([2, 4, 6, 1]) == 0.75
    assert reward([1]) == 0.0
