"""What each server is told, and that it is nothing which the server would overlook."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.shared.env import laptop_settings
from tasks.shared.servers import (
    PREFERRED_PORTS,
    Launch,
    mlflow_launch,
    prefect_launch,
    prefect_probe,
    probe_mlflow,
    s3_launch,
)
from tasks.shared.service_files import S3Credentials

LOGIN = "retort:the-login"
CREDENTIALS = S3Credentials(access_key="the-access-key", secret_key="the-secret-key")


def _launches(home: Path) -> list[Launch]:
    environment = laptop_settings(home)
    return [
        prefect_launch(home, 4200, environment, LOGIN),
        mlflow_launch(home, 5000, environment, 8333, CREDENTIALS),
        s3_launch(home, PREFERRED_PORTS, environment, CREDENTIALS),
    ]


def test_no_secret_is_in_a_command_or_in_what_is_printed(tmp_path: Path) -> None:
    for launch in _launches(tmp_path):
        shown = " ".join(launch.command) + repr(launch)
        assert "the-secret-key" not in shown
        assert "the-access-key" not in shown
        assert "the-login" not in shown
    assert "the-secret-key" not in repr(CREDENTIALS)


def test_only_the_servers_of_the_store_get_its_credentials(tmp_path: Path) -> None:
    prefect, mlflow, s3 = (launch.environment for launch in _launches(tmp_path))
    assert "AWS_SECRET_ACCESS_KEY" not in prefect
    assert mlflow["AWS_SECRET_ACCESS_KEY"] == s3["AWS_SECRET_ACCESS_KEY"] == "the-secret-key"


def test_a_server_of_one_run_is_told_its_parent_and_others_are_not(tmp_path: Path) -> None:
    command = prefect_launch(tmp_path, 4200, {}, LOGIN, parent=77).command
    assert command[command.index("--parent") + 1] == "77"
    assert "--parent" not in prefect_launch(tmp_path, 4200, {}, LOGIN).command


def test_other_web_pages_may_not_call_prefect(tmp_path: Path) -> None:
    environment = prefect_launch(tmp_path, 4321, {}, LOGIN).environment
    origins = environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"]
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == LOGIN
    assert origins == "http://127.0.0.1:4321,http://localhost:4321"


def test_probes_complain_where_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for complaint in (prefect_probe(LOGIN)(port), probe_mlflow(port)):
            assert complaint is not None
            assert "refused" in complaint


def test_importing_the_services_is_quick_work() -> None:
    """`retort status` must not wait seconds for libraries that it does not use."""
    heavy = {"boto3", "mlflow", "prefect", "torch", "uvicorn", "fastapi"}
    code = "import sys, tasks.shared.services, tasks.shared.run_prefect; print(*sys.modules)"
    root = Path(__file__).parents[2]
    python = [sys.executable, "-c", code]
    loaded = subprocess.run(python, capture_output=True, text=True, check=True, cwd=root).stdout.split()
    assert "tasks.shared.servers" in loaded
    assert heavy & set(loaded) == set()


@pytest.mark.service
@pytest.mark.timeout(120)
def test_every_setting_is_one_that_prefect_or_mlflow_knows(tmp_path: Path) -> None:
    """A mistyped or renamed variable would be overlooked in silence, and MLflow's are private ones."""
    prefect, mlflow, _ = _launches(tmp_path)
    given = {*prefect.environment, *mlflow.environment}
    names = {name for name in given if "PREFECT" in name or "MLFLOW" in name}
    code = """
import sys, prefect.settings, mlflow.environment_variables as public, mlflow.server.constants as private
known = {getattr(value, "name", value) for module in (public, private) for value in vars(module).values()
         if isinstance(getattr(value, "name", value), str)}
print(*(name for name in sys.argv[1:] if name not in known and not hasattr(prefect.settings, name)))
"""
    unknown = subprocess.run(
        [sys.executable, "-c", code, "MLFLOW_MISTYPED", "PREFECT_MISTYPED", *sorted(names)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | laptop_settings(tmp_path),
    ).stdout.split()
    assert len(names) == 26
    assert unknown == ["MLFLOW_MISTYPED", "PREFECT_MISTYPED"]
