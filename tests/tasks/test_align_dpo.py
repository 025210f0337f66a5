"""Stage `dpo` on a tiny student: from rankings to a model folder."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from configs.load import load_run_config
from tasks import align_dpo
from tasks.feedback.events import FeedbackEvent, Shown, write_events
from tasks.ml.models import load_model, load_tokenizer, save_model, tiny_random_model
from tasks.ml.rows import Row, VerdictCheck, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.ml.trainer import Watch
from tasks.shared.errors import StageError
from tasks.shared.tracking import MemoryRun

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def row(number: int) -> Row:
    return Row(
        id=f"row-{number}",
        task="lookup",
        groups=(),
        split="train",
        context=f"Food {number // 2}: energy 5 kcal",
        question=f"Is it rich, {number}?",
        answer="No.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=False),
    )


def event(number: int) -> FeedbackEvent:
    good, bad = (Shown(text=text, model="m", stopped=True) for text in (f"No {number}.", f"Yes {number}!"))
    return FeedbackEvent(
        id=str(number),
        row=f"row-{number}",
        prompt="",
        answers=(bad, good),
        ranks=(2, 1),
        annotator="anna",
        created_at=None,
        source="import",
        simulated=False,
    )


def context_of(folder: Path, events: int) -> SimpleNamespace:
    inputs = {name: folder / name for name in ("clean", "distill", "feedback")}
    for path in (*inputs.values(), folder / "out"):
        path.mkdir()
    tokenizer = byte_tokenizer()
    save_model(inputs["distill"] / "model", tiny_random_model(tokenizer, 0), tokenizer)
    write_rows(inputs["clean"] / "rows.jsonl", [row(number) for number in range(events)])
    write_events(inputs["feedback"] / "events.jsonl", [event(number) for number in range(events)])
    changes = {"precision": "fp32", "epochs": 4, "learning_rate": 0.01, "token_budget": 512}
    config = load_run_config(SMOKE, []).dpo.model_copy(update=changes)
    return SimpleNamespace(
        section=lambda kind, name: config if name == "dpo" else pytest.fail(name),
        seed=7,
        inputs=inputs,
        out=folder / "out",
        run=MemoryRun(id="1", name="dpo", tags={}, params={}),
        watch=lambda name, total: Watch(),
    )


def test_the_student_learns_what_was_preferred(tmp_path: Path) -> None:
    context = context_of(tmp_path, 10)
    summary = align_dpo.run(context)
    assert summary["rows"] == 10
    assert summary["accuracy"] == 1.0
    assert summary["margin"] > 0
    assert summary["loss"] < 0.69
    assert set(context.run.finals) == {
        f"dpo/{name}" for name in ("loss", "accuracy", "margin", "chosen_reward", "rejected_reward")
    }
    before, after = load_model(context.inputs["distill"] / "model"), load_model(context.out / "model")
    assert not torch.equal(before.model.norm.weight, after.model.norm.weight)
    assert load_tokenizer(context.out / "model").eos_token_id == byte_tokenizer().eos_token_id


def test_too_few_preferences_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="7 preferences to learn from"):
        align_dpo.run(context_of(tmp_path, 7))
