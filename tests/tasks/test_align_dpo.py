"""Stage `dpo` on a tiny student: from rankings to a model folder."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from configs.load import load_run_config
from tasks import align_dpo
from tasks.feedback.events import FeedbackEvent, Shown, write_events
from tasks.feedback.judgements import Ranking
from tasks.ml.models import load_model, load_tokenizer, save_model, tiny_random_model
from tasks.ml.rows import Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.ml.trainer import Watch
from tasks.shared.errors import StageError
from tasks.shared.tracking import MemoryRun

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
Context = Callable[..., SimpleNamespace]


def event(number: int) -> FeedbackEvent:
    good, bad = (Shown(text=text, model="m", stopped=True) for text in (f"No {number}.", f"Yes {number}!"))
    return FeedbackEvent(
        id=str(number),
        row=f"row-{number}",
        prompt="",
        answers=(bad, good),
        judgement=Ranking(ranks=(2, 1)),
        annotator="anna",
        created_at=None,
        source="import",
        simulated=False,
    )


@pytest.fixture
def context_of(tmp_path: Path, make_row: Callable[..., Row]) -> Context:
    """The stage's context with so many events, for an algorithm."""

    def make(events: int, algorithm: str = "dpo") -> SimpleNamespace:
        inputs = {name: tmp_path / name for name in ("clean", "distill", "feedback")}
        for path in (*inputs.values(), tmp_path / "out"):
            path.mkdir()
        tokenizer = byte_tokenizer()
        save_model(inputs["distill"] / "model", tiny_random_model(tokenizer, 0), tokenizer)
        write_rows(inputs["clean"] / "rows.jsonl", [make_row(number) for number in range(events)])
        write_events(inputs["feedback"] / "events.jsonl", [event(number) for number in range(events)])
        changes = {"precision": "fp32", "epochs": 4, "learning_rate": 0.01, "token_budget": 512}
        changes["algorithm"] = algorithm
        registered: list[Path] = []
        config = load_run_config(SMOKE, []).dpo.model_copy(update=changes)
        return SimpleNamespace(
            section=lambda kind, name: config if name == "dpo" else pytest.fail(name),
            seed=7,
            inputs=inputs,
            out=tmp_path / "out",
            run=MemoryRun(id="1", name="dpo", tags={}, params={}),
            watch=lambda name, total: Watch(),
            register=registered.append,
            registered=registered,
        )

    return make


def test_the_student_learns_what_was_preferred(context_of: Context) -> None:
    context = context_of(10)
    summary = align_dpo.run(context)
    assert summary["rows"] == 10
    assert summary["accuracy"] == 1.0
    assert summary["margin"] > 0
    assert summary["loss"] < 0.69
    assert summary["algorithm"] == "dpo"
    assert context.registered == [context.out / "model"]
    assert set(context.run.finals) == {
        f"dpo/{name}" for name in ("loss", "accuracy", "margin", "chosen_reward", "rejected_reward")
    }
    before, after = load_model(context.inputs["distill"] / "model"), load_model(context.out / "model")
    assert not torch.equal(before.model.norm.weight, after.model.norm.weight)
    assert load_tokenizer(context.out / "model").eos_token_id == byte_tokenizer().eos_token_id


def test_dpo_by_trl_learns_the_same_pairs(context_of: Context) -> None:
    context = context_of(10, "trl_dpo")
    summary = align_dpo.run(context)
    assert (summary["rows"], summary["algorithm"], summary["accuracy"]) == (10, "trl_dpo", 1.0)
    assert summary["chosen_reward"] > summary["rejected_reward"]
    assert load_model(context.out / "model").config.num_hidden_layers == 4


def test_kto_learns_from_single_answers(context_of: Context) -> None:
    context = context_of(10, "kto")
    summary = align_dpo.run(context)
    # Each of 10 questions has one answer above the middle of two, and one below.
    assert (summary["rows"], summary["algorithm"]) == (20, "kto")
    assert summary["desirable_reward"] > 0 > summary["undesirable_reward"]
    assert set(context.run.finals) == {"dpo/desirable_reward", "dpo/undesirable_reward"}


@pytest.mark.parametrize("algorithm", ["dpo", "trl_dpo"])
def test_too_few_preferences_are_refused(context_of: Context, algorithm: str) -> None:
    with pytest.raises(StageError, match="7 preferences to learn from"):
        align_dpo.run(context_of(7, algorithm))


def test_kto_needs_some_of_both_kinds(context_of: Context) -> None:
    with pytest.raises(StageError, match="3 desirable and 3 undesirable answers to 3 questions"):
        align_dpo.run(context_of(3, "kto"))
