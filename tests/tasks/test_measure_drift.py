"""Stage `drift` on a tiny student: from questions and events to a verdict, a page and figures."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import load_run_config
from tasks import measure_drift
from tasks.feedback.events import FeedbackEvent, write_events
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.shared.tracking import MemoryRun

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
ROWS = 60
Stage = Callable[..., tuple[dict[str, Any], SimpleNamespace]]


def event(about: Row, number: int, ranks: tuple[int | None, ...] = (1, 2), **changes: Any) -> FeedbackEvent:
    fields = {
        "id": str(number),
        "row": about.id,
        "task": about.task,
        "prompt": user_text(about),
        "answers": [{"text": text, "model": "m", "stopped": True} for text in "ab"],
        "judgement": {"kind": "ranking", "ranks": ranks},
        "annotator": "anna",
        "created_at": None,
        "source": "import",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(fields | changes)


@pytest.fixture
def rows(make_row: Callable[..., Row]) -> list[Row]:
    return [make_row(number) for number in range(ROWS)]


def every_fifth(rows: list[Row]) -> list[Row]:
    """Twelve questions of six contexts, spread over all; their numbers stand in the prompts."""
    return [row for number, row in enumerate(rows) if number // 2 % 5 == 2]


@pytest.fixture
def stage(tmp_path: Path, rows: list[Row], make_row: Callable[..., Row]) -> Stage:
    inputs = {name: tmp_path / name for name in ("clean", "distill", "collect")}
    for path in (*inputs.values(), tmp_path / "out"):
        path.mkdir()
    tokenizer = byte_tokenizer()
    save_model(inputs["distill"] / "model", tiny_random_model(tokenizer, 0), tokenizer)
    others = [make_row(90, split="test"), make_row(91, answer=None)]
    write_rows(inputs["clean"] / "rows.jsonl", [*rows, *others])

    def run(
        learnt: list[FeedbackEvent], new: list[FeedbackEvent], embedded: int = 20
    ) -> tuple[dict[str, Any], SimpleNamespace]:
        write_events(inputs["collect"] / "events.jsonl", [*learnt, *new])
        changes = {"precision": "fp32", "draws": 199, "embedded_questions": embedded}
        config = load_run_config(SMOKE, []).drift.model_copy(update=changes)
        said: list[str] = []
        context = SimpleNamespace(
            section=lambda kind, name: config if name == "drift" else pytest.fail(name),
            seed=7,
            inputs=inputs,
            refs={"collect": SimpleNamespace(summary={"replayed": len(learnt)})},
            out=tmp_path / "out",
            run=MemoryRun(id="1", name="drift", tags={}, params={}),
            bar=lambda description, total, unit: NoBar(),
            bars=SimpleNamespace(say=said.append),
            said=said,
        )
        return measure_drift.run(context), context

    return run


def test_feedback_on_known_questions_goes_on(stage: Stage, rows: list[Row]) -> None:
    learnt = [event(row, number) for number, row in enumerate(rows[:20])]
    new = [event(row, 100 + number) for number, row in enumerate(every_fifth(rows))]
    summary, context = stage(learnt, new)
    assert (summary["rows"], summary["drift"], summary["reasons"]) == (12, "go", [])
    told = json.loads((context.out / "drift.json").read_text())
    measured = {one["name"] for one in told["measures"]}
    assert measured == {
        "length",
        "unknown_words",
        "vocabulary",
        "tasks",
        "embedding",
        "fails",
        "skips",
        "ties",
    }
    # The test split and what only the teacher answers take no part.
    assert told["questions"] == [ROWS - 12, 12]
    assert {path.name for path in context.out.iterdir()} == {"drift.json", "drift.md", "drift.png"}
    assert context.said == ["drift: go"]
    assert context.run.finals["drift_length"] == summary["drift_length"]


def test_another_subject_and_other_judgements_stop(stage: Stage, rows: list[Row]) -> None:
    learnt = [event(row, number) for number, row in enumerate(rows[:30])]
    asked = [f"Please tell me where parcel {n} of our shipment has gone by now, dear team" for n in range(20)]
    new = [
        event(rows[0], 100 + n, (None, None), row=f"x{n}", task="", prompt=prompt)
        for n, prompt in enumerate(asked)
    ]
    summary, context = stage(learnt, new)
    assert summary["drift"] == "stop"
    named = {reason.split(":")[0].split(" (")[0] for reason in summary["reasons"]}
    assert named >= {"length", "unknown words", "vocabulary", "tasks", "fails"}
    assert (context.out / "drift.md").read_text().startswith("# Drift says stop")


def test_what_is_replaced_does_not_count(stage: Stage, rows: list[Row]) -> None:
    learnt = [event(row, number) for number, row in enumerate(rows[:20])]
    first = [event(row, 100 + number, (None, None)) for number, row in enumerate(every_fifth(rows))]
    mended = [event(row, 200 + n, replaces=str(100 + n)) for n, row in enumerate(every_fifth(rows))]
    summary, _ = stage(learnt, [*first, *mended], embedded=0)
    assert (summary["rows"], summary["drift_fails"]) == (12, 0)
    assert "drift_embedding" not in summary


def test_people_are_not_compared_with_a_simulation(stage: Stage, rows: list[Row]) -> None:
    simulated = {"source": "simulated", "simulated": True}
    learnt = [event(row, number, (None, None), **simulated) for number, row in enumerate(rows[:20])]
    new = [event(row, 100 + number) for number, row in enumerate(every_fifth(rows))]
    summary, context = stage(learnt, new, embedded=0)
    assert "drift_fails" not in summary
    assert "judgements not compared" in (context.out / "drift.md").read_text()


def test_a_night_without_feedback_goes_on(stage: Stage) -> None:
    summary, context = stage([], [])
    assert summary == {"rows": 0, "drift": "go", "reasons": []}
    assert [path.name for path in context.out.iterdir()] == ["drift.md"]
