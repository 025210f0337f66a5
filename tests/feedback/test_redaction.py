"""What people typed enters training without personal data, as the configuration says."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from configs.load import load_run_config
from configs.schema import DataConfig
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.redaction import redact_events

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def event(identity: str, **changes: Any) -> FeedbackEvent:
    plain = {
        "id": identity,
        "row": "q1",
        "prompt": "How much fat?",
        "answers": [{"text": text, "model": "m", "stopped": True} for text in ("81 g.", "None.")],
        "judgement": {"kind": "ranking", "ranks": (1, 2)},
        "annotator": "anna",
        "created_at": None,
        "source": "import",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(plain | changes)


@pytest.fixture
def events() -> list[FeedbackEvent]:
    mended = {"kind": "correction", "corrected": 1, "text": "81 g. Ask marie@example.org."}
    return [
        event("plain"),
        event("mended", judgement=mended, comment="Call me: 06 12 34 56 78"),
        event("asked", prompt="I am jo@example.org. How much fat?"),
    ]


def config(rule: str) -> DataConfig:
    return load_run_config(SMOKE, [f"data.personal_data={rule}"]).data


def test_every_text_is_redacted(events: list[FeedbackEvent]) -> None:
    redacted = redact_events(events, config("redact"))
    plain, mended, asked = redacted.events
    assert plain is events[0]
    assert mended.judgement.text == "81 g. Ask [e-mail address]."
    assert mended.comment == "Call me: [telephone number]"
    assert asked.prompt == "I am [e-mail address]. How much fat?"
    assert [one.id for one in redacted.events] == ["plain", "mended", "asked"]
    assert redacted.counts == Counter({"e-mail address": 2, "telephone number": 1})
    assert redacted.summary() == {"personal_data": 3, "personal_data_events": 2}


def test_such_events_can_be_dropped_or_kept(events: list[FeedbackEvent]) -> None:
    dropped = redact_events(events, config("drop"))
    assert dropped.events == events[:1]
    assert dropped.touched == 2
    kept = redact_events(events, config("keep"))
    assert kept.events == events
    assert kept.summary() == {}
