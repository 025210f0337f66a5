"""Asking a server that is busy, broken, slow or strict: a real one on loopback that does what it is told."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tasks.shared.endpoint import ChatReply, ChatRequest, Endpoint, ask
from tasks.shared.errors import ServiceError

SECRET = "sesame-0815"


@dataclass
class Served:
    """What the server did: requests in their order, and the most that it had in hand at once."""

    url: str = ""
    # The status, headers and body of the n-th request, or None for an answer.
    script: Callable[[int, dict[str, Any]], tuple[int, dict[str, str], str] | None] = lambda n, body: None
    seconds: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def completion(text: str, finish: str = "stop") -> str:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    )


class Handler(BaseHTTPRequestHandler):
    served: Served

    def do_POST(self) -> None:
        served = self.served
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with served.lock:
            number = len(served.bodies)
            served.bodies.append(body)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            served.times.append(time.monotonic())
            served.busy += 1
            served.most_busy = max(served.most_busy, served.busy)
        time.sleep(served.seconds)
        told = served.script(number, body)
        status, headers, text = told or (200, {}, completion(f" {body['messages'][-1]['content']}! "))
        with served.lock:
            served.busy -= 1
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(text.encode())

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Served]:
    state = Served()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"served": state}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def endpoint(served: Served, **changes: Any) -> Endpoint:
    plain = {"model": "m", "max_tokens": 9, "temperature": 0.5, "concurrency": 1, "retries": 2, "timeout": 5}
    return Endpoint("label.endpoint", url=served.url, **{**plain, **changes})


def requests(*names: str) -> dict[str, ChatRequest]:
    return {name: ChatRequest([{"role": "user", "content": name}], seed=5) for name in names}


def asked(where: Endpoint, names: str, piece: int = 2) -> tuple[list[dict[str, ChatReply]], str, int]:
    """The pieces that came, what the error said, and how many replies were told."""
    pieces, told = [], []
    try:
        for replies in ask(where, SECRET, requests(*names), piece, lambda: told.append(1)):
            pieces.append(replies)
    except ServiceError as error:
        return pieces, str(error), len(told)
    return pieces, "", len(told)


def yes(name: str) -> ChatReply:
    return ChatReply(f"{name}!", True)


def test_answers_come_in_pieces_with_what_was_asked_for(served: Served) -> None:
    pieces, error, told = asked(endpoint(served), "abc")
    assert pieces == [{"a": yes("a"), "b": yes("b")}, {"c": yes("c")}]
    assert (error, told) == ("", 3)
    assert served.bodies[2] == {
        "model": "m",
        "messages": [{"role": "user", "content": "c"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "seed": 5,
    }


def test_an_answer_that_was_cut_did_not_stop(served: Served) -> None:
    served.script = lambda n, body: (200, {}, completion("cut", "length"))
    assert asked(endpoint(served), "a")[0] == [{"a": ChatReply("cut", False)}]


def test_only_our_own_key_is_sent(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "for-another-server")
    asked(endpoint(served), "a")
    list(ask(endpoint(served), None, requests("a"), 1, lambda: None))
    assert [sent["authorization"] for sent in served.headers] == [f"Bearer {SECRET}", "Bearer none"]
    assert "for-another-server" not in repr(served.headers)


def test_requests_go_side_by_side_up_to_the_bound(served: Served) -> None:
    served.seconds = 0.1
    assert len(asked(endpoint(served, concurrency=3), "abcdefgh", piece=8)[0][0]) == 8
    assert served.most_busy == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(served: Served, status: int) -> None:
    served.script = lambda n, body: (status, {}, "{}") if n == 0 else None
    assert asked(endpoint(served), "a") == ([{"a": yes("a")}], "", 1)
    assert len(served.bodies) == 2


def test_retry_after_is_heeded(served: Served) -> None:
    served.script = lambda n, body: (429, {"Retry-After": "1.2"}, "{}") if n == 0 else None
    assert asked(endpoint(served), "a")[0] == [{"a": yes("a")}]
    # Of itself the client would wait 0.5 s at most before the first further try.
    assert 1.15 < served.times[1] - served.times[0] < 3


def test_an_answer_that_takes_too_long_is_asked_for_again(served: Served) -> None:
    def slow_once(number: int, body: dict[str, Any]) -> None:
        time.sleep(1.0 if number == 0 else 0)

    served.script = slow_once
    assert asked(endpoint(served, timeout=0.4), "a")[0] == [{"a": yes("a")}]
    assert len(served.bodies) == 2


def test_what_was_answered_before_the_server_broke_is_given(served: Served) -> None:
    served.script = lambda n, body: (500, {}, '{"error": "out of order"}') if n >= 3 else None
    pieces, error, told = asked(endpoint(served, retries=1), "abcdefg")
    assert pieces == [{"a": yes("a"), "b": yes("b")}, {"c": yes("c")}]
    assert told == 3
    assert "got 4 of 7 answers missing" in error
    assert "out of order" in error
    assert served.url in error
    assert "RETORT_ENDPOINT_KEY" in error
    # The fourth was tried twice; after that nothing more was asked.
    assert [body["messages"][0]["content"] for body in served.bodies] == ["a", "b", "c", "d", "d"]


def test_a_rejected_request_does_not_keep_the_others_waiting(served: Served) -> None:
    served.script = lambda n, body: (400, {}, '{"error": "too long"}') if n == 1 else None
    pieces, error, told = asked(endpoint(served), "abcd")
    assert pieces == [{"a": yes("a")}, {"c": yes("c"), "d": yes("d")}]
    assert told == 3
    assert "got 1 of 4 answers missing" in error
    assert "too long" in error
    assert len(served.bodies) == 4


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_will_never_answer_is_asked_once(served: Served, status: int) -> None:
    said = json.dumps({"error": {"message": f"wrong key {SECRET}" + " x" * 400}})
    served.script = lambda n, body: (status, {}, said)
    pieces, error, _ = asked(endpoint(served), "abc")
    assert pieces == []
    assert len(served.bodies) == 1
    assert "got 3 of 3 answers missing" in error
    # A server may repeat the key; we do not.
    assert SECRET not in error
    assert "wrong key ***" in error
    assert len(error) < 700


def test_what_is_no_completion_is_no_answer(served: Served) -> None:
    for text in ("<html>", '{"choices": []}', '"text"', "[]"):
        served.script = lambda n, body, text=text: (200, {}, text)
        pieces, error, _ = asked(endpoint(served), "a")
        assert pieces == []
        assert "got 1 of 1 answers missing" in error


def test_a_server_that_is_not_there_is_named() -> None:
    nowhere = Endpoint("label.endpoint", "http://127.0.0.1:9/v1", "m", 9, 0.5, 4, 1, 1.0)
    with pytest.raises(ServiceError, match=r"3 of 3 answers missing .* from http://127\.0\.0\.1:9/v1"):
        list(ask(nowhere, None, requests("a", "b", "c"), 2, lambda: None))
