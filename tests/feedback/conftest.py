"""A feedback store in a file or in PostgreSQL, and events to put into it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.postgresql import NoPostgreSQLError, new_database, postgresql
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore

ROOT = Path(__file__).parents[2]
# Imported once, then forked: the children begin at the same moment.
_PREAMBLE = """
import os, sys, traceback
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.feedback.events import FeedbackEvent

def children(count, work):
    for number in range(count):
        if os.fork() == 0:
            try:
                work(number)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
    sys.exit(sum(os.wait()[1] for _ in range(count)) > 0)
"""


def make_event(id: str, **changes: Any) -> FeedbackEvent:
    """An event of anna's who prefers answer A to answer B."""
    answers = [{"text": f"answer {name}", "model": "m" * 64, "stopped": True} for name in "AB"]
    fields = {
        "id": id,
        "row": "row-1",
        "prompt": "Is butter rich in fat?",
        "answers": answers,
        "judgement": {"kind": "ranking", "ranks": (1, 2)},
        "annotator": "anna",
        "created_at": "2026-11-24T12:00:00.000+00:00",
        "source": "web",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(fields | changes)


@pytest.fixture
def an_event() -> Callable[..., FeedbackEvent]:
    """Makes an event of this id, with changes."""
    return make_event


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL of the session's own."""
    # In memory where the system offers that: tests make many databases.
    memory = Path("/dev/shm")
    running = postgresql(memory if memory.is_dir() else None)
    try:
        url = running.__enter__()
    except NoPostgreSQLError as error:
        pytest.skip(str(error))
    yield url
    running.__exit__(None, None, None)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """The URL of an empty database in PostgreSQL."""
    return new_database(postgresql_server)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a file that is not there yet."""
    return f"sqlite:///{tmp_path / 'feedback.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of either kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty feedback store."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> EventStore:
    """The events of the empty store."""
    return EventStore(database)


@pytest.fixture
def start(launch: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Start Python code that may call `children(count, work)`; it is gone when the test ends."""
    return lambda code, *arguments: launch("-c", _PREAMBLE + code, *arguments)


@pytest.fixture
def launch() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python with these arguments and, if given, variables; it is gone when the test ends."""
    processes = []

    def run(*arguments: str, variables: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **(variables or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
