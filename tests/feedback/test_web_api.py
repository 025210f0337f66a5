"""The JSON API and the guard before it, asked without a network."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from tasks.feedback.events import Shown
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.feedback.web.app import make_app
from tasks.feedback.web.guard import Settings

SETTINGS = Settings(requests_per_minute=1000, failed_logins_per_minute=1000, body_bytes=4096)
Client = TestClient


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """A store with two comparisons of two answers."""
    opened = Database(sqlite_url)
    for row in ("one", "two"):
        answers = tuple(Shown(text=f"{row} {name}", model="MODEL", stopped=True) for name in "ab")
        Comparisons(opened).put([Comparison(row=row, prompt=f"{row}?", answers=answers, wanted=2)])
    yield opened
    opened.close()


def client(database: Database, name: str | None = "anna", settings: Settings = SETTINGS) -> Client:
    headers = {"Authorization": f"Bearer {Annotators(database).invite(name)}"} if name else {}
    return Client(make_app(database, settings), headers=headers)


def judged(task: dict[str, Any], **changes: Any) -> dict[str, Any]:
    sent = {"comparison": task["comparison"], "order": task["order"], "key": "k" * 16}
    return sent | {"judgement": {"kind": "ranking", "ranks": [1, None]}, "comment": "hm"} | changes


def test_ask_judge_undo(database: Database) -> None:
    anna = client(database)
    task = anna.get("/api/next").json()
    assert sorted(task) == ["answers", "comparison", "order", "prompt"]
    assert "MODEL" not in json.dumps(task)
    answer = anna.post("/api/judgements", json=judged(task))
    assert answer.status_code == 201
    [event] = EventStore(database).events()
    assert answer.json() == {"id": event.id, "created_at": event.created_at}
    assert anna.post("/api/judgements", json=judged(task)).json() == answer.json()
    assert anna.get("/api/progress").json() == {"done": 1, "waiting": 1}
    assert client(database, "bert").get("/api/progress").json() == {"done": 0, "waiting": 2}
    assert anna.post("/api/undo").json() == task
    assert anna.post("/api/undo").status_code == 204
    assert anna.get("/api/progress").json() == {"done": 0, "waiting": 2}


def test_204_when_nothing_waits(database: Database) -> None:
    Comparisons(database).clear()
    answer = client(database).get("/api/next")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "bearer \xe9"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "next"), ("GET", "progress"), ("POST", "judgements"), ("POST", "undo")],
)
def test_401_without_a_token(database: Database, method: str, path: str, header: str | None) -> None:
    stranger = client(database, None)
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    task = client(database).get("/api/next").json()
    body = {"json": judged(task)} if path == "judgements" else {}
    answer = stranger.request(method, f"/api/{path}", headers=headers, **body)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert list(answer.json()) == ["errors"]
    assert list(EventStore(database).events()) == []


def test_an_ended_access_is_none(database: Database) -> None:
    anna = client(database)
    EventStore(database).withdraw("anna")
    assert anna.get("/api/next").status_code == 401


def test_409_for_a_second_judgement(database: Database) -> None:
    anna = client(database)
    task = anna.get("/api/next").json()
    anna.post("/api/judgements", json=judged(task))
    for changes in ({"comment": "other"}, {"key": "another key"}):
        answer = anna.post("/api/judgements", json=judged(task, **changes))
        assert answer.status_code == 409
        assert len(answer.json()["errors"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"comparison": "f" * 64},
        {"comparison": ""},
        {"order": [1, 1]},
        {"order": ["a"]},
        {"order": list(range(9))},
        {"judgement": {"kind": "ranking", "ranks": [1, 2, 3]}},
        {"judgement": {"kind": "mood"}},
        {"judgement": {"kind": "skip", "reason": "taken back"}},
        {"judgement": None},
        {"key": ""},
        {"key": "short"},
        {"comment": "a\0b"},
        {"comment": 7},
        {"annotator": "bert"},
    ],
)
def test_422_for_what_does_not_fit(database: Database, changes: dict[str, Any]) -> None:
    anna = client(database)
    answer = anna.post("/api/judgements", json=judged(anna.get("/api/next").json(), **changes))
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert list(EventStore(database).events()) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"' + b"[" * 2000, b"[" * 2000])
def test_422_or_400_for_what_is_no_json(database: Database, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client(database).post("/api/judgements", content=body, headers=headers)
    assert answer.status_code in (400, 422)


def test_a_lone_surrogate_is_refused(database: Database) -> None:
    anna = client(database)
    body = json.dumps(judged(anna.get("/api/next").json(), comment="SURROGATE")).replace(
        "SURROGATE", "\\ud800"
    )
    headers = {"Content-Type": "application/json"}
    assert anna.post("/api/judgements", content=body, headers=headers).status_code == 422


def test_413_for_more_than_the_limit(database: Database) -> None:
    anna = client(database)
    task = anna.get("/api/next").json()
    long = json.dumps(judged(task, comment="x" * 4096)).encode()
    headers = {"Content-Type": "application/json"}

    def in_pieces() -> Iterator[bytes]:
        yield from (long[start : start + 1000] for start in range(0, len(long), 1000))

    for content in (long, in_pieces()):
        answer = anna.post("/api/judgements", content=content, headers=headers)
        assert answer.status_code == 413
        assert "4096" in answer.json()["errors"][0]
    assert list(EventStore(database).events()) == []
    assert anna.post("/api/judgements", json=judged(task, comment="x" * 2000)).status_code == 201


def test_429_for_an_annotator_who_asks_too_often(database: Database) -> None:
    settings = Settings(requests_per_minute=3, failed_logins_per_minute=5, body_bytes=4096)
    app = make_app(database, settings)
    tokens = [Annotators(database).invite(name) for name in ("anna", "bert")]
    anna, bert = (Client(app, headers={"Authorization": f"Bearer {token}"}) for token in tokens)
    assert [anna.get("/api/progress").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = anna.post("/api/undo")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert list(answer.json()) == ["errors"]
    # Others are not kept waiting.
    assert bert.get("/api/progress").status_code == 200


def test_429_for_an_address_that_tries_tokens(database: Database) -> None:
    settings = Settings(requests_per_minute=1000, failed_logins_per_minute=3, body_bytes=4096)
    app = make_app(database, settings)
    token = Annotators(database).invite("anna")

    def attempt(token: str, address: str = "192.0.2.1") -> int:
        caller = Client(app, client=(address, 50000))
        return caller.get("/api/next", headers={"Authorization": f"Bearer {token}"}).status_code

    assert [attempt(f"guess {number}") for number in range(5)] == [401, 401, 401, 429, 429]
    assert attempt(token) == 429
    assert attempt(token, "192.0.2.2") == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/api", "/nothing", "/api/next/"])
def test_there_is_nothing_else(database: Database, path: str) -> None:
    answer = client(database).get(path, follow_redirects=False)
    assert answer.status_code in (404, 307)
    assert "openapi" not in answer.text


@pytest.mark.parametrize("path", ["/api/next", "/nothing", "/api/progress"])
def test_every_answer_tells_browsers_what_they_may_do(database: Database, path: str) -> None:
    for caller in (client(database), client(database, None)):
        headers = caller.get(path).headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


def test_a_store_that_went_away_is_503_and_says_nothing_of_itself(
    database: Database, sqlite_url: str
) -> None:
    anna = client(database)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE annotators")
    answer = anna.get("/api/next")
    assert answer.status_code == 503
    assert "sqlite" not in answer.text
    assert "annotators" not in answer.text
