"""Annotators for a load test: each asks, judges and sends over real HTTP until time is up.

What was not acknowledged is sent again with the same key, however often the server goes away.
"""

import http.client
import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

RETRY_SECONDS = 0.05
ANSWER_SECONDS = 30
# Gives a judgement of the answers in a task of the page's API.
Say = Callable[[dict[str, Any], random.Random], dict[str, Any]]
AGAIN_SHARE = 0.05  # of what was acknowledged is sent once more, as an impatient browser does


@dataclass(frozen=True)
class Acknowledged:
    """A judgement that the server said it had stored.

    Attributes:
        id: What the server called the event.
        sent: What was sent.
        answered: Seconds from the last try to the answer.
        waited: Seconds from the first try to the answer.
    """

    id: str
    sent: dict[str, Any]
    answered: float
    waited: float


def say_anything(task: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A ranking with ties and F, now and then one that cannot be given, whatever the answers."""
    if draw.random() < 0.1:
        return {"kind": "skip", "reason": "cannot judge"}
    count = len(task["answers"])
    ranks = [draw.choice([None, *range(1, count + 1)]) for _ in range(count)]
    return {"kind": "ranking", "ranks": ranks}


@dataclass
class Annotator:
    """One annotator and what became of their judgements.

    Attributes:
        name: Their pseudonym.
        token: To log in with.
        port: Where the server is, on loopback.
        until: When to stop, on the monotonic clock.
        patience: Seconds after that in which what is under way may still be acknowledged.
        acknowledged: In the order in which they were.
        retries: Tries that failed.
        wrong: Answers that should not have come.
        pending: What was sent and never acknowledged.
        say: What they say of what they are asked.
    """

    name: str
    token: str
    port: int
    until: float
    patience: float
    acknowledged: list[Acknowledged] = field(default_factory=list)
    retries: int = 0
    wrong: list[str] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    say: Say = say_anything

    def work(self) -> None:
        """Judge until time is up or nothing waits."""
        draw = random.Random(self.name)
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        while time.monotonic() < self.until:
            asked = self._insist("GET", "/api/next", None)
            if asked is None or asked[0] != 200:
                break
            self._judge(asked[1], draw)
        self._connection.close()

    def _judge(self, task: dict[str, Any], draw: random.Random) -> None:
        sent = {
            "comparison": task["comparison"],
            "order": task["order"],
            "judgement": self.say(task, draw),
            "comment": f"{self.name} says",
            "key": secrets.token_hex(16),
        }
        self.pending.append(sent)
        started = time.monotonic()
        answer = self._insist("POST", "/api/judgements", sent)
        if answer is None:
            return
        status, body = answer
        if status != 201:
            self.wrong.append(f"{status}: {body}")
            return
        ended = time.monotonic()
        self.acknowledged.append(Acknowledged(body["id"], sent, ended - self._tried, ended - started))
        self.pending.remove(sent)
        if draw.random() < AGAIN_SHARE:
            again = self._insist("POST", "/api/judgements", sent)
            if again is not None and (again[0], again[1].get("id")) != (201, body["id"]):
                self.wrong.append(f"sent again: {again}")

    def _insist(self, method: str, path: str, body: object) -> tuple[int, Any] | None:
        """The answer to a request that is tried until there is one; None if patience ended first."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        while time.monotonic() < self.until + self.patience:
            self._tried = time.monotonic()
            try:
                self._connection.request(method, path, None if body is None else json.dumps(body), headers)
                response = self._connection.getresponse()
                raw = response.read()
                if response.status < 500:
                    return response.status, json.loads(raw) if raw else None
            except (OSError, http.client.HTTPException):
                self._connection.close()
            self.retries += 1
            time.sleep(RETRY_SECONDS)
        return None


def work_at_once(annotators: Sequence[Annotator]) -> list[threading.Thread]:
    """Let all of them work; gives the threads to wait for."""
    threads = [threading.Thread(target=annotator.work) for annotator in annotators]
    for thread in threads:
        thread.start()
    return threads
