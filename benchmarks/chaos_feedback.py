"""Somebody who judges on a home's feedback page all the while, whatever is killed."""

import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.feedback_clients import Annotator
from benchmarks.feedback_load import account, prepare, stored_events
from benchmarks.feedback_server import free_port, start_page

COMPARISONS = 5000
BURST_SECONDS, PAUSE_SECONDS, PATIENCE_SECONDS = 0.2, 2.0, 60.0


class Posting:
    """Judges in short bursts, so that the runs beside it are hardly slowed.

    Args:
        home: Its feedback store is used, so it is that of the runs.
    """

    def __init__(self, home: Path) -> None:
        self._url = f"sqlite:///{home / 'feedback.db'}"
        self._folder = home.parent / "page"
        self._folder.mkdir(parents=True)
        home.mkdir(parents=True, exist_ok=True)
        [(self._name, self._token)] = prepare(self._url, COMPARISONS, 1).items()
        self._port = free_port()
        self._server = start_page(self._url, self._port, self._folder)
        self._bursts: list[Annotator] = []
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._judge)
        self._thread.start()

    def kill_server(self) -> None:
        """Kill the page's server and start it again."""
        self._server.kill()
        self._server.wait()
        self._server = start_page(self._url, self._port, self._folder)

    def end(self) -> dict[str, Any]:
        """Stop, and compare what was acknowledged with what is stored."""
        self._over.set()
        self._thread.join()
        self._server.kill()
        self._server.wait()
        seconds = time.monotonic() - self._began
        found = account(self._bursts, stored_events(self._url), seconds)
        names = ("acknowledged", "stored", "lost", "twice", "unasked", "wrong_answers", "retries")
        return {name: found[name] for name in names}

    def _judge(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            until = time.monotonic() + BURST_SECONDS
            burst = Annotator(self._name, self._token, self._port, until, PATIENCE_SECONDS)
            self._bursts.append(burst)
            burst.work()
