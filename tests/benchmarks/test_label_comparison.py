"""The labelling comparison against values worked by hand."""

from typing import Any

import pytest

from benchmarks.label import compare, parse
from benchmarks.label_worker import distinct_tokens, question_rows, useful_flops
from benchmarks.ppo_workload import Workload


def answer(seconds: float, peak: float, batch: int) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "tokens": 600,
        "answers": 30,
        "prompt_tokens": [80, 90, 120],
        "useful_flops": 2e11,
        "peak_rss_mb": peak,
        "precision": "fp32",
        "batch": batch,
    }


def test_comparison_of_two_pairs() -> None:
    ours = [answer(2.0, 900.0, 64), answer(4.0, 800.0, 64)]
    theirs = [answer(6.0, 1000.0, 16), answer(8.0, 1200.0, 16)]
    entry = compare(ours, theirs, {"fp32": 100.0})
    assert entry["baseline"] == "transformers generate, sorted, batches of 16"
    assert (entry["ratio"], entry["ratio_low"], entry["ratio_high"]) == (2.5, 2.0, 3.0)
    assert entry["memory_ratio"] == 0.75
    # 4e11 operations in 6 s at 100e9 a second.
    assert entry["roofline_fraction"] == pytest.approx(2 / 3)
    assert entry["tokens_per_second"] == pytest.approx(200.0)
    assert entry["baseline_tokens_per_second"] == pytest.approx(1200 / 14)


def test_what_prompts_share_at_their_beginning_is_read_once() -> None:
    # 1 2 3 | 4, then 1 2 | 5 3: a token after another beginning is another one.
    assert distinct_tokens([(1, 2, 3, 4), (1, 2, 5, 3)]) == 6
    assert distinct_tokens([(1, 2), (2, 1), (1, 2)]) == 4


def test_useful_operations_of_labelling() -> None:
    workload = Workload([], [], [], 48, 2, stop=2, pad=0, body_parameters=1000, head_parameters=100)
    # Six prompt tokens, and answers of 3 and 5 of which the last is never read: 12 tokens in the trunk.
    assert useful_flops(workload, [(1, 2, 3, 4), (1, 2, 5, 3)], [3, 5]) == 12 * 2000 + 8 * 200


def test_questions_are_those_of_both_kinds_of_sheets() -> None:
    rows = question_rows(60)
    assert len(rows) == 60
    assert {len(row.groups) for row in rows} == {1, 2}
    assert question_rows(20) == rows[:20]


def test_numbers_that_measure_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--pairs", "0"], ["--prompts", "100"]):
        with pytest.raises(SystemExit):
            parse(arguments)
        assert "expected 1 or more" in capsys.readouterr().err
