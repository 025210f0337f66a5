"""Stage `feedback` with a model as the annotator: the local teacher, and one behind an address."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import load_run_config
from tasks import collect_feedback
from tasks.feedback.events import FeedbackEvent, load_events
from tasks.feedback.judgements import Choice, Correction
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.rows import write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.shared.local_store import LocalStore
from tasks.shared.record_shards import RecordShards
from tasks.shared.tracking import MemoryRun

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


@pytest.fixture
def collect(tmp_path: Path, make_row):
    inputs = {name: tmp_path / name for name in ("clean", "distill")}
    for path in (*inputs.values(), tmp_path / "out"):
        path.mkdir()
    tokenizer = byte_tokenizer()
    save_model(inputs["distill"] / "model", tiny_random_model(tokenizer, 0), tokenizer)
    write_rows(inputs["clean"] / "rows.jsonl", [make_row(number) for number in range(4)])
    store = LocalStore(tmp_path / "store")

    def run(*overrides: str) -> tuple[dict[str, Any], list[FeedbackEvent]]:
        changes = ("feedback.events=ai", "feedback.precision=fp32", "feedback.ai.precision=fp32", *overrides)
        config = load_run_config(SMOKE, ["feedback.prompts=3", "feedback.ai.max_new_tokens=3", *changes])
        context: Any = SimpleNamespace(
            section=lambda kind, name: getattr(config, name),
            seed=7,
            inputs=inputs,
            refs={"distill": SimpleNamespace(sha256="d" * 64)},
            out=tmp_path / "out",
            run=MemoryRun(id="1", name="feedback", tags={}, params={}),
            bar=lambda description, total, unit: NoBar(),
            records=lambda namespace: RecordShards(store, namespace, lambda text: None),
            external={"teacher": "random:tiny", "people": "ai:principles"},
            teacher_source=("random:tiny", "main", tmp_path / "cache"),
        )
        return collect_feedback.run(context), load_events(tmp_path / "out" / "events.jsonl")

    return run


def test_the_local_teacher_judges_pairs_and_revises(collect) -> None:
    summary, events = collect("feedback.ai.pairs=2", "feedback.ai.revisions=1")
    judged = [event for event in events if isinstance(event.judgement, Choice)]
    revised = [event for event in events if isinstance(event.judgement, Correction)]
    assert len(judged) == 3 * 2
    assert {event.annotator for event in events} == {"ai-random:tiny"}
    assert {event.source for event in events} == {"ai"}
    assert all(event.simulated for event in events)
    assert len({event.id for event in events}) == len(events) == summary["rows"] == summary["simulated"]
    assert (summary["ai_judged"], summary["ai_revised"]) == (6, len(revised))
    assert 0 <= summary["ai_swayed_share"] <= 1
    assert "ai_agreement" not in summary  # there are no people to agree with
    assert collect("feedback.ai.pairs=2", "feedback.ai.revisions=1")[1] == events


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Says A to whatever it is asked, and notes it."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            message = {"role": "assistant", "content": "A"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}/v1", heard
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_model_behind_an_address_is_asked_once_and_found_to_prefer_a_place(collect, server) -> None:
    url, heard = server
    where = (f"feedback.ai.endpoint={url}", "feedback.ai.endpoint_model=big", "feedback.ai.pairs=1")
    summary, events = collect(*where)
    assert {event.annotator for event in events} == {"ai-big"}
    assert [event.judgement for event in events] == [Choice(chosen=None)] * 3
    assert (summary["ai_ties"], summary["ai_swayed_share"], summary["ai_swayed_to_first"]) == (3, 1.0, 3)
    assert len(heard) == 3 * 2
    assert {body["temperature"] for body in heard} == {0.0}
    assert collect(*where) == (summary, events)
    assert len(heard) == 3 * 2
