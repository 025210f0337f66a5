"""The comparison of reward trainers: its figures by hand, and that both sides are given the same work."""

from typing import Any

import pytest

from benchmarks.harness import BenchmarkError
from benchmarks.reward import accuracy, accuracy_gain, compare, parse
from benchmarks.reward_workload import judged_answers, pairs_of_steps, settings, useful_flops
from benchmarks.trl_reward import cut_steps, rows_of
from tasks.ml.teacher import byte_tokenizer


def answer(seconds: float, peak: float, pairs: int = 30, right: tuple[float, ...] = (3, 1)) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "pairs": pairs,
        "steps": 4,
        "losses": [0.7, 0.5],
        "right": list(right),
        "asked": [4.0, 1.0],
        "useful_flops": 3e11,
        "peak_rss_mb": peak,
        "rss_before_mb": 400.0,
        "precision": "fp32",
    }


def test_comparison_of_two_pairs() -> None:
    ours = [answer(2.0, 1000.0), answer(4.0, 900.0)]
    theirs = [answer(10.0, 2800.0, right=(2, 1)), answer(16.0, 2700.0, right=(2, 1))]
    entry = compare("sheets", ours, theirs, {"fp32": 150.0})
    assert (entry["ratio"], entry["ratio_low"], entry["ratio_high"]) == (4.5, 4.0, 5.0)
    assert entry["memory_ratio"] == pytest.approx(1000 / 2800)
    assert entry["memory_ratio_above_import"] == pytest.approx(600 / 2400)
    assert entry["pairs_per_second"] == pytest.approx(60 / 6)
    assert entry["baseline_pairs_per_second"] == pytest.approx(60 / 26)
    # 6e11 operations in 6 s at 150e9 a second.
    assert entry["roofline_fraction"] == pytest.approx(2 / 3)
    assert entry["accuracy"][0] == pytest.approx(4 / 5)
    assert entry["baseline_accuracy"][0] == pytest.approx(3 / 5)
    assert entry["accuracy_gain"][0] == pytest.approx(1 / 5)
    # By questions the baseline has between 2 of 4 and 1 of 1.
    assert entry["baseline_accuracy"][1:] == pytest.approx([0.5, 1.0])
    assert entry["within_baseline_interval"]


def test_pairs_about_one_question_count_as_one_unit() -> None:
    # Two questions: resampling them gives 4 of 4, 0 of 1, or both.
    found = accuracy({"right": [4.0, 0.0], "asked": [4.0, 1.0]})
    assert found == pytest.approx([0.8, 0.0, 1.0])
    ours, theirs = {"right": [4.0, 0.0], "asked": [4.0, 1.0]}, {"right": [4.0, 0.0]}
    assert accuracy_gain(ours, theirs) == [0.0, 0.0, 0.0]


def test_sides_that_learnt_different_pairs_are_not_compared() -> None:
    with pytest.raises(BenchmarkError, match="30 pairs in 4 steps learnt by ours and 29"):
        compare("single", [answer(1.0, 1.0)], [answer(1.0, 1.0, pairs=29)], {"fp32": 1.0})


def test_a_step_is_cut_into_passes_of_like_length() -> None:
    assert cut_steps([[30, 10, 20, 40], [5, 6, 7]], 2) == [[1, 2], [0, 3], [4], [5, 6]]
    # A step that is too small is read whole in each pass.
    assert cut_steps([[9]], 3) == [[0], [0], [0]]


@pytest.mark.parametrize(("form", "answers"), [("sheets", 4), ("single", 2)])
def test_trl_is_given_the_pairs_of_every_step_of_ours(form: str, answers: int) -> None:
    work = judged_answers(byte_tokenizer(), form, 3, "train")
    rows, sizes = rows_of(work)
    assert 0 < len(rows) == sum(map(len, sizes)) == len(work.pairs)
    assert len(work.questions) <= answers * len(set(work.questions))
    told = {(tuple(row["chosen_ids"]), tuple(row["rejected_ids"])) for row in rows}
    texts = [example.prompt + example.response for example in work.examples]
    both = zip(work.pairs.chosen.tolist(), work.pairs.rejected.tolist(), strict=True)
    assert told == {(texts[chosen], texts[rejected]) for chosen, rejected in both}
    assert len(pairs_of_steps(work)) == len(sizes)


def test_questions_about_other_foods_are_held_out() -> None:
    learnt, held_out = (judged_answers(byte_tokenizer(), "single", 5, split) for split in ("train", "test"))
    assert not set(learnt.questions) & set(held_out.questions)


def test_useful_operations_count_what_is_frozen_forward_alone() -> None:
    work = judged_answers(byte_tokenizer(), "single", 2, "train")
    tokens = sum(len(group.prefix) for group in work.groups)
    tokens += sum(
        len(branch.tail) + len(branch.response) for group in work.groups for branch in group.branches
    )
    assert useful_flops(work, 100, 50) == tokens * (200 + 200)


def test_the_loss_is_that_of_trl() -> None:
    config = settings("fp32")
    assert (config.loss, config.floor_weight, config.ensemble) == ("bradley_terry", 0.0, 1)


def test_a_wrong_number_of_pairs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--pairs", "0"])
    assert "expected 1 or more" in capsys.readouterr().err
