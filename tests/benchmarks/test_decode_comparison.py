"""The decode comparison against values worked by hand."""

from typing import Any

import pytest

from benchmarks.decode import compare, parse
from benchmarks.decode_parts import decode_flops
from benchmarks.ppo_workload import Workload


def answer(seconds: float, peak: float, precision: str) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "tokens": 700,
        "useful_flops": 2e11,
        "peak_rss_mb": peak,
        "precision": precision,
    }


def test_comparison_of_two_pairs() -> None:
    ours = [answer(2.0, 900.0, "fp32"), answer(4.0, 800.0, "fp32")]
    theirs = [answer(6.0, 1000.0, "bf16"), answer(8.0, 1200.0, "bf16")]
    entry = compare(32, ours, theirs, {"fp32": 100.0, "bf16": 200.0})
    assert entry["baseline"] == "transformers generate, 32 rows, 32 answers"
    assert (entry["ratio"], entry["ratio_low"], entry["ratio_high"]) == (2.5, 2.0, 3.0)
    assert entry["memory_ratio"] == 0.75
    # 4e11 operations in 6 s at 100e9 a second.
    assert entry["roofline_fraction"] == pytest.approx(2 / 3)
    assert entry["tokens_per_second"] == pytest.approx(1400 / 6)
    assert entry["baseline_tokens_per_second"] == pytest.approx(100.0)
    assert (entry["precision"], entry["baseline_precision"]) == ("fp32", "bf16")


def test_useful_operations_of_decoding() -> None:
    workload = Workload([], [], [3, 5], 48, 2, stop=2, pad=0, body_parameters=1000, head_parameters=100)
    # Two prompts of 60 and answers of 3 and 5, the last token of each never read: 126 tokens in the trunk.
    assert decode_flops(workload, 2) == 126 * 2000 + 8 * 200


def test_a_wrong_number_of_pairs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--pairs", "0"])
    assert "expected 1 or more" in capsys.readouterr().err
