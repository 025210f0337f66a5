"""Judgements are announced to Prefect, and nobody waits for it, whether it is there or not."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.shared import announcer
from tasks.shared.announcer import Announcer


class Prefect:
    """What takes events, or refuses them with a status; it notes what it was sent, refused or not."""

    def __init__(self) -> None:
        self.status, self.batches, self.paths = 204, list[list[dict[str, Any]]](), set[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.paths.add(self.path)
                outer.batches.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ids(self) -> list[str]:
        return [event["id"] for batch in self.batches for event in batch]


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefect]:
    """A server that the announcer finds."""
    server = Prefect()
    monkeypatch.setattr(announcer, "prefect_port", lambda _: server.server.server_port)
    monkeypatch.setattr(announcer, "_FIRST_PAUSE", 0.01)
    yield server
    server.server.shutdown()
    server.server.server_close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_each_judgement_is_one_event_that_says_nothing_of_it(prefect: Prefect, tmp_path: Path) -> None:
    announcing = Announcer(tmp_path)
    announcing.recorded(2)
    wait_for(lambda: len(prefect.ids()) == 2)
    announcing.recorded(1)
    announcing.close()
    assert prefect.paths == {"/api/events"}
    events = [event for batch in prefect.batches for event in batch]
    assert len({event["id"] for event in events}) == 3
    for event in events:
        assert abs((datetime.now(UTC) - datetime.fromisoformat(event["occurred"])).total_seconds()) < 60
        assert {key: event[key] for key in event.keys() - {"id", "occurred"}} == {
            "event": "retort.feedback.recorded",
            "resource": {"prefect.resource.id": "retort.feedback"},
            "payload": {},
        }


def test_what_was_refused_is_sent_again_under_its_id(prefect: Prefect, tmp_path: Path) -> None:
    """A server that answers 500 may have counted it all the same; a new id would count it twice."""
    prefect.status = 500
    announcing = Announcer(tmp_path)
    announcing.recorded(3)
    wait_for(lambda: len(prefect.batches) >= 2)
    prefect.status = 204
    refused = len(prefect.batches)
    wait_for(lambda: len(prefect.batches) > refused)
    announcing.close()
    assert len(set(prefect.ids())) == 3
    assert [event["id"] for event in prefect.batches[-1]] == [event["id"] for event in prefect.batches[0]]


def test_a_flood_is_cut_at_what_any_threshold_needs(prefect: Prefect, tmp_path: Path) -> None:
    announcing = Announcer(tmp_path)
    announcing.recorded(5000)
    announcing.close(20)
    assert len(set(prefect.ids())) == 1000
    assert max(len(batch) for batch in prefect.batches) <= 100


def test_nobody_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    announcing = Announcer(tmp_path)
    began = time.monotonic()
    for _ in range(2000):
        announcing.recorded(1)
    announcing.close()
    assert time.monotonic() - began < 3


def test_nobody_waits_for_a_server_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An acknowledgement must not wait for Prefect, and neither may Ctrl-C on the page for long."""
    held = threading.Event()
    monkeypatch.setattr(announcer, "prefect_port", lambda _: held.wait(30) and None)
    announcing = Announcer(tmp_path)
    began = time.monotonic()
    announcing.recorded(1)
    assert time.monotonic() - began < 0.5
    announcing.close(patience=0.2)
    assert time.monotonic() - began < 3
    held.set()


def test_nothing_to_announce_starts_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    announcing = Announcer(tmp_path)
    announcing.recorded(0)
    assert threading.active_count() == before
    announcing.close()
