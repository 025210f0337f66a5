"""What is read from the environment and what servers are given of it."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from configs.variables import FEEDBACK_VARIABLE
from tasks.shared.env import (
    endpoint_key,
    export,
    feedback_url,
    laptop_settings,
    read_env,
    server_environment,
)


def test_home_is_dot_retort_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETORT_HOME", raising=False)
    assert read_env().home == tmp_path / ".retort"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", "{cwd}/.retort"), ("state", "{cwd}/state"), ("/srv/retort", "/srv/retort"), ("~/r", "{user}/r")],
)
def test_home_from_the_variable_is_absolute(
    value: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("RETORT_HOME", value)
    assert read_env().home == Path(expected.format(cwd=tmp_path, user="/home/someone"))


def test_prefect_keeps_its_files_inside_home(tmp_path: Path) -> None:
    settings = laptop_settings(tmp_path)
    assert settings["PREFECT_HOME"] == f"{tmp_path}/prefect"
    database = settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert database == f"sqlite+aiosqlite:///{tmp_path}/prefect/prefect.db"


def test_servers_do_not_inherit_settings_for_other_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "_MLFLOW_SERVER_FILE_STORE", "AWS_SESSION_TOKEN")
    for name in (*strange, "KEPT_BY_TEST"):
        monkeypatch.setenv(name, "theirs")
    environment = server_environment(tmp_path)
    assert not set(strange) & set(environment)
    assert environment["KEPT_BY_TEST"] == "theirs"
    assert environment.items() >= laptop_settings(tmp_path).items()


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ("", "127.0.0.1,localhost"),
        ("intra.net, localhost", "intra.net,localhost,127.0.0.1"),
    ],
)
def test_own_servers_are_reached_past_the_proxy(
    known: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", known)
    settings = laptop_settings(tmp_path)
    assert settings["no_proxy"] == settings["NO_PROXY"] == expected


def test_export_reaches_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETORT_TEST_VALUE", "before")
    export({"RETORT_TEST_VALUE": "after"})
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['RETORT_TEST_VALUE'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout == "after\n"


def test_the_key_of_the_endpoint_is_read_and_not_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RETORT_ENDPOINT_KEY", raising=False)
    assert endpoint_key() is None
    monkeypatch.setenv("RETORT_ENDPOINT_KEY", "sesame")
    assert endpoint_key() == "sesame"
    assert "sesame" not in repr(read_env())
    assert "sesame" not in server_environment(tmp_path).values()


def test_feedback_is_kept_below_home_unless_a_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with `?` or `%` in its name put the feedback somewhere else: both mean something in a URL."""
    monkeypatch.delenv(FEEDBACK_VARIABLE, raising=False)
    assert feedback_url(Path("/home/anna/.retort")) == "sqlite:////home/anna/.retort/feedback.db"
    assert make_url(feedback_url(Path("/what? 100%41"))).database == "/what? 100%41/feedback.db"
    monkeypatch.setenv(FEEDBACK_VARIABLE, "postgresql://localhost/feedback")
    assert feedback_url(Path("/home/anna/.retort")) == "postgresql://localhost/feedback"
