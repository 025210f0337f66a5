"""What `retort doctor` looks at on the machine and in the home: each check well, and then ill."""

import os
import sqlite3
import time
from collections import namedtuple
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.doctor import home_files, machine
from tasks.doctor.check import Check, State, guarded, ok
from tasks.doctor.feedback_store import feedback_store
from tasks.feedback.store.database import Database
from tasks.shared.errors import Problem, StoreError

if TYPE_CHECKING:
    from tests.doctor.conftest import States

GIB = 1 << 30


def test_a_look_that_breaks_off_is_a_finding() -> None:
    def looks(error: Exception) -> Callable[[], Iterable[Check]]:
        def look() -> Iterable[Check]:
            yield ok("first", "there")
            raise error

        return look

    problem = Problem("the disk", "gone", "there", "Put it back.")
    first, second = guarded("disk", looks(StoreError(problem)))
    assert (first.state, second.state, second.found, second.remedy) == (
        "ok",
        "fail",
        "`the disk`: gone",
        "Put it back.",
    )
    [_, unforeseen] = guarded("disk", looks(ValueError("http://user:password@host")))
    assert unforeseen.state == "fail"
    assert "password" not in unforeseen.model_dump_json()


def test_libraries_are_compared_with_what_is_required(
    states: "States", monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = {"torch": "2.13.0+cpu", "numpy": "2.2.5", "rich": "15.0.0"}
    required = ["torch==2.13.0", "numpy==2.2.6", "nowhere>=1", "rich==15.0.0", "pytest==1; extra == 'dev'"]

    def version(name: str) -> str:
        if name not in installed:
            raise machine.importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda _: required)
    monkeypatch.setattr(machine.importlib.metadata, "metadata", lambda _: {"Requires-Python": ">=3.11"})
    monkeypatch.setattr(machine.importlib.metadata, "version", version)
    python, libraries = machine.libraries()
    assert (python.state, libraries.state) == ("ok", "fail")
    assert libraries.found == "numpy==2.2.6 asked, 2.2.5 there; nowhere is missing"
    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda _: required[:1])
    monkeypatch.setattr(machine.importlib.metadata, "metadata", lambda _: {"Requires-Python": ">=4"})
    assert states(machine.libraries()) == [("python", "fail"), ("libraries", "ok")]


@pytest.mark.parametrize(
    ("free", "inodes", "expected"),
    [
        (5.1, 6, "ok"),
        (4.9, 6, "warn"),
        (5.1, 4, "warn"),
        (0.9, 6, "fail"),
        (5.1, 0.9, "fail"),
        (5.1, None, "ok"),
    ],
)
def test_room_in_bytes_and_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, inodes: float | None, expected: State
) -> None:
    usage = namedtuple("usage", "free")(free * GIB)
    status = namedtuple("status", "f_favail f_files")(inodes or 0, 100 if inodes else 0)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(machine.os, "statvfs", lambda _: status)
    home, temporary = machine.disk(tmp_path / "not" / "there")
    assert (home.state, temporary.state) == (expected, expected)
    assert str(tmp_path) in home.found


def test_files_from_the_future_tell_of_a_clock_set_back(states: "States", tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    path = tmp_path / "latest" / "summary.json"
    path.write_text("{}")
    assert states(machine.clock(tmp_path)) == [("clock", "ok")]
    os.utime(path, (time.time() + 600,) * 2)
    assert states(machine.clock(tmp_path)) == [("clock", "warn")]
    assert states(machine.clock(tmp_path / "none")) == [("clock", "ok")]


def test_who_can_read_the_secrets(states: "States", tmp_path: Path) -> None:
    assert states(home_files.modes(tmp_path / "none")) == [("private files", "ok")]
    tmp_path.chmod(0o755)
    for name in ("s3-credentials.json", "feedback.db", "feedback.db-wal"):
        (tmp_path / name).write_text("{}")
        (tmp_path / name).chmod(0o600)
    assert states(home_files.modes(tmp_path)) == [("private files", "ok")]
    (tmp_path / "feedback.db-wal").chmod(0o640)
    [found] = home_files.modes(tmp_path)
    assert (found.state, found.remedy) == ("fail", f"chmod 600 {tmp_path / 'feedback.db-wal'}")
    # Behind a folder that nobody else may enter, it is no more than untidy.
    tmp_path.chmod(0o700)
    assert states(home_files.modes(tmp_path)) == [("private files", "warn")]


def test_secrets_are_named_and_half_a_pair_is_found() -> None:
    are_set = {"RETORT_ENDPOINT_KEY": True, "AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False}
    [found] = home_files.secrets(are_set)
    assert (found.state, found.found) == ("ok", "set: RETORT_ENDPOINT_KEY")
    [found] = home_files.secrets({**are_set, "AWS_SECRET_ACCESS_KEY": True})
    assert found.state == "warn"
    assert found.found.startswith("AWS_ACCESS_KEY_ID is not set")


def test_a_damaged_database_is_found(states: "States", tmp_path: Path) -> None:
    assert states(home_files.databases(tmp_path)) == [("databases", "ok")]
    for name in ("feedback.db", "mlflow.db"):
        with sqlite3.connect(tmp_path / name) as connection:
            connection.executescript("CREATE TABLE t (x); INSERT INTO t VALUES ('" + "x" * 9000 + "')")
        connection.close()
    assert states(home_files.databases(tmp_path)) == [("databases", "ok")]
    with (tmp_path / "mlflow.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    assert states(home_files.databases(tmp_path)) == [("database mlflow.db", "fail"), ("databases", "ok")]


def test_the_feedback_store_is_looked_at_and_not_changed(states: "States", tmp_path: Path) -> None:
    path = tmp_path / "feedback.db"
    assert states(feedback_store(f"sqlite:///{path}")) == [("feedback store", "ok")]
    assert not path.exists()
    # A database without our tables, as an earlier version or another program may leave it.
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    assert states(feedback_store(f"sqlite:///{path}")) == [("feedback store", "warn")]
    Database(f"sqlite:///{path}").close()
    [found] = feedback_store(f"sqlite:///{path}")
    assert (found.state, found.found) == ("ok", f"0 events in sqlite:///{path}; nobody may log in")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE feedback_version SET version_num = '9999'")
    connection.close()
    assert states(feedback_store(f"sqlite:///{path}")) == [("feedback store", "fail")]


def test_a_system_without_pango_is_told_what_to_install(
    states: "States", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "printable", lambda: "")
    assert states(machine.printing()) == [("PDF reports", "ok")]
    monkeypatch.setattr(machine, "printable", lambda: "the system has no Pango")
    assert states(machine.printing()) == [("PDF reports", "warn")]
