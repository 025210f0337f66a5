"""MLflow behind a server: all that a run records goes through it, and its absence is told soon."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tasks.shared import mlflow_client
from tasks.shared.errors import ServiceError
from tasks.shared.mlflow_tracking import MLflowTracker


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_absent_server_is_told_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        MLflowTracker(url, "pipeline").open("nightly", {}, {})
    assert time.monotonic() - started < 3
    assert caught.value.problems[0].what == url
    assert "retort up" in str(caught.value)


def test_mute_server_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_client, "PROBE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        started = time.monotonic()
        with pytest.raises(ServiceError, match="timed out"):
            MLflowTracker(f"http://127.0.0.1:{mute.getsockname()[1]}", "pipeline").open("nightly", {}, {})
        assert time.monotonic() - started < 3


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Callable[[], None]]]:
    """A real MLflow server with a database of its own; gives its address and what stops it."""
    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", *mlflow_client.SETTINGS):
        monkeypatch.setenv(name, "true")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    places = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/s.db",
        "--artifacts-destination",
        f"{tmp_path}/files",
    ]
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *places], env=settings, stdout=log, stderr=log, start_new_session=True
        )

    def stop() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(mlflow_client.MLflowLine(url).probe)
        yield url, stop
    finally:
        stop()


def wait_for(probe: Callable[[], None]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ServiceError):
            return probe()
        time.sleep(0.2)
    raise TimeoutError("the server did not start")


@pytest.mark.service
@pytest.mark.timeout(150)
def test_server_takes_all_and_its_loss_is_told(
    server: tuple[str, Callable[[], None]], tmp_path: Path
) -> None:
    url, stop = server
    (tmp_path / "note.txt").write_text("a note")
    tracker = MLflowTracker(url, "pipeline")
    parent_id = tracker.open("nightly", {"retort.flow_key": "f"}, {"seed": 1})
    client = tracker._line.client
    experiment_id = client.get_run(parent_id).info.experiment_id
    assert tracker.url == f"{url}/#/experiments/{experiment_id}/runs/{parent_id}"
    with tracker.stage("distill", "k", {}) as run:
        run.log({"loss": 0.5}, 3)
        run.table("samples", [{"question": "Q"}])
        run.file(tmp_path / "note.txt", "notes")
        version = tracker.register_model("student", model_folder(tmp_path / "student"), run, {})
    assert [(point.step, point.value) for point in client.get_metric_history(run.id, "loss")] == [(3, 0.5)]
    assert (tmp_path / "files" / experiment_id / run.id / "artifacts/notes/note.txt").read_text() == "a note"
    found = client.get_model_version_by_alias("student", "challenger")
    assert (version, str(found.version)) == ("1", "1")
    [weights] = (tmp_path / "files").rglob("model.safetensors")
    assert weights.read_bytes() == b"weights"

    seconds: list[float] = []
    with pytest.raises(ServiceError, match="retort up") as caught:
        lose_the_server(tracker, stop, seconds)
    assert time.monotonic() - seconds[0] < 15
    assert len([note for note in caught.value.__notes__ if note.startswith("Nor could")]) == 2


def model_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def lose_the_server(tracker: MLflowTracker, stop: Callable[[], None], seconds: list[float]) -> None:
    with tracker, tracker.stage("align", "k", {}) as run:
        stop()
        seconds.append(time.monotonic())
        run.metrics({"loss": 0.4})
