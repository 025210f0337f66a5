"""The speed comparison and the workload's arithmetic against values worked by hand."""

from typing import Any

import pytest

from benchmarks.harness import BenchmarkError
from benchmarks.ppo import compare
from benchmarks.ppo_workload import Workload, draw_lengths, useful_flops

WORKLOAD = Workload(
    prompts=[[5] * 60] * 2,
    texts=["a", "b"],
    lengths=[1, 2, 3],
    max_new_tokens=48,
    epochs=2,
    stop=2,
    pad=0,
    body_parameters=1000,
    head_parameters=100,
)


def answer(seconds: float, peak: float, **others: Any) -> dict[str, Any]:
    return {
        "seconds": [seconds],
        "processor_seconds": [2 * seconds],
        "episodes_per_update": 8,
        "tokens": 667,
        "peak_rss_mb": peak,
        "rss_before_mb": 500.0,
        "precision": "bf16",
        **others,
    }


def test_comparison_of_two_pairs() -> None:
    ours = [answer(2.0, 900.0, useful_flops=[3e10]), answer(4.0, 800.0, useful_flops=[3e10])]
    theirs = [answer(8.0, 2500.0, precision="fp32"), answer(12.0, 2400.0, precision="fp32")]
    entry = compare("theirs", ours, theirs, {"fp32": 50.0, "bf16": 100.0})
    assert entry["ratios"] == [4.0, 3.0]
    assert (entry["ratio"], entry["ratio_low"], entry["ratio_high"]) == (3.5, 3.0, 4.0)
    assert entry["processor_time_ratio"] == 3.5
    assert entry["memory_ratio"] == pytest.approx(900 / 2500)
    assert entry["memory_ratio_above_import"] == pytest.approx(400 / 2000)
    # 6e10 operations in 6 s at 100e9 a second.
    assert entry["roofline_fraction"] == pytest.approx(0.1)
    assert entry["episodes_per_second"] == pytest.approx(16 / 6)
    assert entry["baseline_episodes_per_second"] == pytest.approx(16 / 20)
    assert (entry["precision"], entry["baseline_precision"]) == ("bf16", "fp32")


def test_different_work_is_no_comparison() -> None:
    with pytest.raises(BenchmarkError, match="667 tokens processed by ours and 700 by the baseline"):
        compare(
            "theirs", [answer(1.0, 1.0, useful_flops=[1.0])], [answer(1.0, 1.0, tokens=700)], {"bf16": 1.0}
        )


def test_lengths_come_round_again() -> None:
    assert WORKLOAD.update_lengths(0, 2) == [1, 2]
    assert WORKLOAD.update_lengths(1, 2) == [3, 1]
    # Two updates of two: lengths 1, 2, 3, 1 and four prompts of 60.
    assert WORKLOAD.measured_tokens(2, 2) == 7 + 240


def test_useful_operations() -> None:
    # Two answers of 3 and 5 tokens to one prompt: 60 + 8 tokens in the trunk, 8 before the head.
    # Sampling and reference: 68 * 2000 + 8 * 200 each; reward: 68 * 2000; 2 epochs, forward and backward.
    once = 68 * 2000 + 8 * 200
    assert useful_flops(WORKLOAD, [3, 5], samples=2) == 2 * once + 68 * 2000 + 4 * once


def test_lengths_have_the_spread_that_is_promised() -> None:
    lengths = draw_lengths(4000, seed=1)
    mean = sum(lengths) / len(lengths)
    variance = sum((length - mean) ** 2 for length in lengths) / len(lengths)
    assert lengths == draw_lengths(4000, seed=1)
    assert min(lengths) >= 1
    assert max(lengths) == 48
    # The cut at 48 takes mean and spread from 24 and 0.7 to this.
    assert mean == pytest.approx(22.8, abs=0.6)
    assert variance**0.5 / mean == pytest.approx(0.54, abs=0.04)
