"""The distillation comparison against values worked by hand."""

from typing import Any

import pytest

from benchmarks.distill import compare, fidelity, parse
from benchmarks.distill_workload import Questions, step_order, useful_flops
from benchmarks.harness import BenchmarkError
from tasks.ml.prompts import Example


def answer(seconds: float, peak: float, tokens: int = 1200) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "capture_seconds": seconds / 4,
        "tokens": tokens,
        "steps": 12,
        "useful_flops": 3e11,
        "peak_rss_mb": peak,
        "rss_before_mb": 400.0,
        "precision": "fp32",
        "valid_kl": 2.0,
    }


def test_comparison_of_two_pairs() -> None:
    ours = [answer(2.0, 1000.0), answer(4.0, 900.0)]
    theirs = [answer(10.0, 2800.0), answer(16.0, 2700.0)]
    entry = compare(("small", "sheets"), ours, theirs, {"fp32": 150.0})
    assert (entry["ratio"], entry["ratio_low"], entry["ratio_high"]) == (4.5, 4.0, 5.0)
    assert entry["memory_ratio"] == pytest.approx(1000 / 2800)
    assert entry["memory_ratio_above_import"] == pytest.approx(600 / 2400)
    assert entry["capture_share"] == pytest.approx(0.25)
    assert entry["tokens_per_second"] == pytest.approx(2400 / 6)
    # 6e11 operations in 6 s at 150e9 a second.
    assert entry["roofline_fraction"] == pytest.approx(2 / 3)


def test_sides_that_learnt_different_tokens_are_not_compared() -> None:
    with pytest.raises(BenchmarkError, match="1200 tokens in 12 steps learnt by ours and 900"):
        compare(("small", "sheets"), [answer(1.0, 1.0)], [answer(1.0, 1.0, tokens=900)], {"fp32": 1.0})


def test_what_storing_costs() -> None:
    stored = {"bytes_per_token": 132.0, "valid_kl": 2.02}
    assert fidelity(stored, {"valid_kl": 2.0})["excess"] == pytest.approx(0.01)


def test_useful_operations_count_a_shared_prefix_once() -> None:
    examples = [Example((1, 2, 3, 4), (5, 6)), Example((1, 2, 3, 7), (8,))]
    work = Questions(examples, ["sheet", "sheet"])
    assert work.sizes() == [6, 5]
    # Prefix 3, tails 1 and 1, answers 2 and 1: 8 tokens in the trunk, 3 in the head.
    capture = 2 * (8 * 1000 + 3 * 100)
    assert useful_flops(work, (1000, 100), (10, 1), 2) == capture + 2 * 6 * (8 * 10 + 3 * 1)


def test_every_epoch_takes_every_group_in_an_order_of_its_own() -> None:
    first, second = step_order(20, 2)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert list(step_order(20, 2)) == [first, second]


def test_a_wrong_number_of_pairs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--pairs", "0"])
    assert "expected 1 or more" in capsys.readouterr().err
