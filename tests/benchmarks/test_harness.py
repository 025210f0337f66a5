"""The harness against values worked by hand, and against workers that go wrong."""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import (
    BenchmarkError,
    Worker,
    alternating,
    last_json,
    median_interval,
    pair_ratios,
    percentile,
    print_result,
    processor_times,
    run_alternating,
    run_worker,
    steal_share,
)


def python(code: str, name: str = "a worker") -> Worker:
    return Worker(name, "", ("-c", code))


def test_ratios_say_how_many_times_longer_the_baseline_took() -> None:
    assert pair_ratios([2.0, 4.0], [6.0, 6.0]) == [3.0, 1.5]


def test_pairs_must_be_complete() -> None:
    with pytest.raises(ValueError, match="shorter"):
        pair_ratios([1.0, 2.0], [1.0])


def test_percentiles_lie_between_neighbours() -> None:
    # 0.025 * 4 = 0.1 of the way from 1 to 2; 0.975 * 4 = 3.9, nine tenths from 4 to 8.
    values = [1.0, 2.0, 3.0, 4.0, 8.0]
    assert percentile(values, 0.025) == pytest.approx(1.1)
    assert percentile(values, 0.5) == 3.0
    assert percentile(values, 0.975) == pytest.approx(7.6)
    assert percentile([5.0], 0.9) == 5.0


def test_interval_of_three_pairs() -> None:
    # A resample of three has the least value as its median with probability 7/27, likewise the largest: both
    # are far above 2.5 %, so the interval is the range.
    interval = median_interval([4.0, 3.0, 5.0])
    assert (interval.median, interval.low, interval.high) == (4.0, 3.0, 5.0)


def test_interval_of_many_pairs_leaves_the_outliers_out() -> None:
    # The median of 21 reaches the outlier only if 11 of 21 draws hit it: probability about 1e-9.
    interval = median_interval([2.0] * 20 + [100.0])
    assert (interval.median, interval.low, interval.high) == (2.0, 2.0, 2.0)


def test_interval_is_the_same_every_time() -> None:
    ratios = [3.1, 4.2, 3.7, 5.0, 2.9, 4.4]
    assert median_interval(ratios) == median_interval(ratios)


def test_one_pair_has_no_spread() -> None:
    interval = median_interval([4.0])
    assert (interval.low, interval.median, interval.high) == (4.0, 4.0, 4.0)


def test_order_goes_there_and_back() -> None:
    rounds = list(alternating(["a", "b", "c"], 3))
    assert rounds == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_the_last_line_is_the_answer() -> None:
    assert last_json('loading\n{"seconds": [0]}\n{"seconds": [1.5]}\n\n', "w") == {"seconds": [1.5]}


@pytest.mark.parametrize("text", ["", "done", '{"a": 1}\ndone', "[1, 2]", "null"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(BenchmarkError, match="`w`: got .* on the last line; expected a JSON object"):
        last_json(text, "w")


def test_a_worker_runs_with_two_threads_and_no_network() -> None:
    code = "import json, os; print('noise'); print(json.dumps(dict(os.environ)))"
    worker = Worker("a worker", "", ("-c", code), variables=(("EXTRA", "1"),))
    environment = run_worker(worker)
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["TOKENIZERS_PARALLELISM"] == "false"
    assert environment["EXTRA"] == "1"


def test_a_failing_worker_says_why_and_how_to_repeat_it() -> None:
    with pytest.raises(BenchmarkError) as caught:
        run_worker(python("raise SystemExit('no such folder')", "trl ppo"))
    message = str(caught.value)
    assert "`trl ppo`: got exit code 1" in message
    assert "no such folder" in message
    assert f"Run it alone: {sys.executable} -c" in message
    assert caught.value.exit_code == 2


def test_a_worker_that_hangs_is_ended() -> None:
    with pytest.raises(BenchmarkError, match="no answer in 1 s"):
        run_worker(python("import time; time.sleep(60)"), timeout=1)


def test_workers_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = {
        name: python(f"open({str(log)!r}, 'a').write({name!r}); print('{{\"is\": \"{name}\"}}')", name)
        for name in "ab"
    }
    answers = run_alternating(workers, 3)
    assert log.read_text() == "abbaab"
    assert answers == {"a": [{"is": "a"}] * 3, "b": [{"is": "b"}] * 3}


def test_no_round_begins_that_would_end_too_late() -> None:
    slow = python("import time; time.sleep(0.5); print('{}')")
    assert run_alternating({"slow": slow}, 5, seconds=0.6) == {"slow": [{}]}


def test_the_first_round_is_always_run() -> None:
    # Trials may have taken all the time there was; then there were no answers to compare.
    assert run_alternating({"late": python("print('{}')")}, 3, seconds=-1) == {"late": [{}]}


def test_stolen_time_is_a_share_of_all_time(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  10 0 10 100 0 0 0 5 7 0\ncpu0 1 2 3\n")
    before = processor_times(stat)
    assert before == [10, 0, 10, 100, 0, 0, 0, 5]
    # 30 + 10 + 50 ticks of work and idleness, 10 stolen: one in ten.
    assert steal_share(before, [40, 0, 20, 150, 0, 0, 0, 15]) == pytest.approx(0.1)
    assert processor_times(tmp_path / "absent") is None
    assert steal_share(None, before) is None


def test_the_result_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(lambda options: {"suite": options.suite}, Namespace(suite="ppo"))
    captured = capsys.readouterr()
    assert captured.out == '{"suite": "ppo"}\n'
    assert captured.err == ""


def test_an_error_ends_the_benchmark_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Namespace) -> dict[str, Any]:
        raise BenchmarkError("trl ppo", "exit code 1", "exit code 0", "Run it alone.")

    with pytest.raises(SystemExit) as caught:
        print_result(fail, Namespace())
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "`trl ppo`: got exit code 1; expected exit code 0. Run it alone.\n"
