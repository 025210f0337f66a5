"""The feedback stage audits what it gathered, and says whose figures they are."""

import json
from pathlib import Path
from typing import Any

import pytest

import tasks.collect_feedback
from configs.load import load_run_config
from tasks.feedback.events import FeedbackEvent, load_events, write_events
from tasks.shared.tracking import MemoryTracker
from tasks.stage import StageContext

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def event(annotator: str, row: str, *ranks: int) -> FeedbackEvent:
    return FeedbackEvent.model_validate(
        {
            "id": f"{annotator}-{row}",
            "row": row,
            "prompt": "?",
            "answers": [{"text": text, "model": "m", "stopped": True} for text in "ab"],
            "judgement": {"kind": "ranking", "ranks": ranks},
            "annotator": annotator,
            "created_at": None,
            "source": "import",
            "simulated": annotator == "sim",
        }
    )


def test_an_audit_lies_beside_the_events(tmp_path: Path) -> None:
    events = [
        event("anna", "q1", 1, 2),
        event("bert", "q1", 1, 2),
        event("anna", "q2", 1, 2),
        event("bert", "q2", 2, 1),
        event("sim", "q1", 1, 1),
    ]
    write_events(tmp_path / "events.jsonl", events)
    config = load_run_config(SMOKE, [f"feedback.events={tmp_path / 'events.jsonl'}"])
    out, tracker = tmp_path / "out", MemoryTracker()
    unused: Any = None
    out.mkdir()
    with tracker.stage("feedback", "key", {}) as run:
        context = StageContext(
            {"feedback": config.feedback.model_dump(), "data": config.data.model_dump(), "seed": 7},
            {},
            {},
            out,
            tmp_path / "cache",
            run,
            unused,
            unused,
            tracker,
            unused,
            {"people": "sha256:x"},
            "no store is read",
        )
        summary = tasks.collect_feedback.run(context)
    assert load_events(out / "events.jsonl") == events
    people, simulated = json.loads((out / "audit.json").read_text())["populations"]
    # q1 the same, q2 opposite: n = 4, three of one and one of the other: 1 - 3 * 2 / (2 * 3 * 1).
    assert people["alphas"][0]["value"] == pytest.approx(0)
    assert simulated["alphas"][0]["value"] is None
    assert summary["people_alpha"] == pytest.approx(0)
    assert summary["simulated_alpha"] is None
    assert (summary["people_tie_share"], summary["simulated_tie_share"]) == (0, 1)
    assert (summary["people_contradictions"], summary["people_disputed_pairs"]) == (0, 1)
    assert summary["rows"] == 5
    assert run.finals["feedback/people_disputed_pairs"] == 1
    # What is not defined is no figure.
    assert "feedback/simulated_alpha" not in run.finals
