"""The stage `distill` on tiny models: what it writes, and what it learns from."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from transformers import PreTrainedTokenizerFast

from configs.load import load_run_config
from tasks import distill
from tasks.ml.checkpoint import NoCheckpoints
from tasks.ml.models import load_model, load_tokenizer, save_model, tiny_random_model
from tasks.ml.prompts import encode
from tasks.ml.rows import ReferenceCheck, Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.ml.teacher_signal import Scores, TeacherSignal
from tasks.shared.errors import StageError
from tasks.shared.progress import ProgressBars
from tasks.shared.tracking import MemoryTracker
from tasks.stage import StageContext

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
FAST = ("distill.precision=fp32", "distill.token_budget=400", "distill.warmup_steps=1", "distill.kd_weight=1")


def build_row(number: int, split: str = "train") -> Row:
    return Row(
        id=f"row-{number}",
        task="open",
        groups=("Butter",),
        split=split,
        context="",
        question=f"Question {number}?",
        answer=f"Answer {number}.",
        plain_words=2,
        medical=False,
        check=ReferenceCheck(text="Answer"),
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], Any, str, Path]]:
    """The stage on four rows whose teacher is certain of the letter `a` everywhere; what it said and left."""
    rows = [build_row(number) for number in range(4)]
    for stage in ("clean", "label", "score"):
        (tmp_path / stage).mkdir()
    write_rows(tmp_path / "clean" / "rows.jsonl", [*rows, build_row(9, "valid")])
    write_rows(tmp_path / "label" / "rows.jsonl", rows)
    (tmp_path / "clean" / "lexicon.txt").write_text("Butter\n", encoding="utf-8")
    letter = byte_tokenizer().convert_tokens_to_ids("a")
    lengths = [len(encode(byte_tokenizer(), row).response) for row in rows]
    scored = {
        index: Scores(
            np.full((length, 1), letter, np.uint16),
            np.full((length, 1), math.log(0.999), np.float16),
            np.full(length, math.log(0.001), np.float32),
        )
        for index, length in enumerate(lengths)
    }
    TeacherSignal.join(scored, 4, 1, 1.0).save(tmp_path / "score" / "signal")

    def start(*overrides: str) -> tuple[dict[str, Any], Any, str, Path]:
        config = load_run_config(SMOKE, [*FAST, *overrides])
        names = ("distill", "student", "teacher", "score")
        sections = {name: getattr(config, name).model_dump() for name in names}
        said, tracker, out = io.StringIO(), MemoryTracker(), tmp_path / "out"
        inputs = {stage: tmp_path / stage for stage in ("clean", "label", "score")}
        with ProgressBars(Console(file=said)) as bars, tracker.stage("distill", "key", {}) as stage_run:
            context = StageContext(
                sections | {"seed": 7},
                inputs,
                {},
                out,
                tmp_path / "cache",
                stage_run,
                bars,
                NoCheckpoints(),
                tracker,
                lambda namespace: pytest.fail("no records are needed"),
                {},
                "no feedback is read",
            )
            summary = distill.run(context)
        return summary, stage_run, said.getvalue(), out

    return start


def likes_a(folder: Path) -> float:
    """The probability of the letter `a` where an answer begins."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    ids = torch.tensor([encode(tokenizer, build_row(0)).prompt])
    with torch.no_grad():
        shares = model.eval()(input_ids=ids).logits[0, -1].softmax(-1)
    return shares[tokenizer.convert_tokens_to_ids("a")].item()


def test_a_pruned_student_learns_from_the_teacher(run) -> None:
    summary, stage_run, said, out = run("distill.epochs=20", "distill.learning_rate=0.01")
    assert likes_a(out / "unrefined") < 0.1
    assert likes_a(out / "model") > 0.5
    assert (summary["relation"], summary["vocabulary"], len(summary["layers"])) == ("same", 259, 3)
    assert f"distill: {summary['relation_message']}" in said
    assert stage_run.texts["relation.txt"] == summary["relation_message"]
    assert [line["kept"] for line in stage_run.tables["layers.json"]].count(True) == 3
    assert stage_run.finals["distill/parameters"] == summary["parameters"]
    assert "teacher_divergence" in stage_run.curves


def test_a_student_with_other_tokens_learns_the_texts_alone(run, tmp_path: Path) -> None:
    stops_otherwise = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer().backend_tokenizer, eos_token="<|endoftext|>"
    )
    save_model(tmp_path / "other", tiny_random_model(byte_tokenizer(), 5), stops_otherwise)
    summary, stage_run, said, out = run(
        "student.kind=pretrained",
        f"student.source={tmp_path / 'other'}",
        "distill.epochs=20",
        "distill.learning_rate=0.01",
    )
    assert summary["relation"] == "text"
    assert "`distill.kd_weight` are not used" in summary["relation_message"]
    assert f"distill: {summary['relation_message']}" in said
    assert likes_a(out / "model") < 0.1
    assert "teacher_divergence" not in stage_run.curves
    losses = [value for _, value in stage_run.curves["gold_nll"]]
    assert losses[-1] < 0.5 * losses[0]
    assert summary["valid_nll"] > 0
    assert stage_run.tables == {}


def test_the_student_can_learn_from_its_own_answers(run) -> None:
    summary, stage_run, _, _ = run(
        "distill.on_policy.share=1", "distill.on_policy.max_new_tokens=6", "distill.epochs=2"
    )
    assert summary["relation"] == "same"
    assert "on_policy_divergence" in stage_run.curves
    assert "gold_nll" not in stage_run.curves


@pytest.mark.parametrize(("targets", "expected"), [("all", 4), ("gold", 3), ("teacher", 1)])
def test_targets_say_whose_answers_are_learnt(targets: str, expected: int) -> None:
    rows = [build_row(number) for number in range(3)]
    rows.append(build_row(3).model_copy(update={"source": "teacher"}))
    assert sum(distill.is_target(row, targets) for row in rows) == expected


def test_without_a_target_nothing_can_be_learnt(run) -> None:
    with pytest.raises(StageError, match="distill.targets"):
        run("distill.targets=teacher")
