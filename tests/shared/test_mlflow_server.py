"""MLflow behind a server: all that a run records goes through it, and its absence ends no stage."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.shared import mlflow_client, mlflow_tracking
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


@dataclass
class Server:
    """A real MLflow server with a database of its own."""

    url: str
    command: list[str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=settings, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(mlflow_client.MLflowLine(self.url).probe)

    def stop(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs."""
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
    server = Server(f"http://127.0.0.1:{port}", [*command, *places], tmp_path / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def wait_for(probe: Callable[[], None]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ServiceError):
            return probe()
        time.sleep(0.2)
    raise TimeoutError("the server did not start")


@pytest.mark.service
@pytest.mark.timeout(240)
def test_server_takes_all_and_what_it_missed_when_it_is_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that went away ended the stage that ran, and with it hours of training."""
    (tmp_path / "note.txt").write_text("a note")
    tracker = MLflowTracker(server.url, "pipeline")
    parent_id = tracker.open("nightly", {"retort.flow_key": "f"}, {"seed": 1})
    client = tracker._line.client
    experiment_id = client.get_run(parent_id).info.experiment_id
    assert tracker.url == f"{server.url}/#/experiments/{experiment_id}/runs/{parent_id}"
    with tracker.stage("distill", "k", {}) as run:
        run.log({"loss": 0.5}, 3)
        run.table("samples", [{"question": "Q"}])
        server.stop()
        run.metrics({"final": 0.25})
        began = time.monotonic()
        for step in range(4, 200):
            run.log({"loss": 0.4}, step)
        run.file(tmp_path / "note.txt", "notes")
        # Once MLflow is known to be away, a loop hardly notices.
        assert time.monotonic() - began < 5
        server.start()
        version = tracker.register_model("student", model_folder(tmp_path / "student"), run, {})
    tracker.close()
    points = [(point.step, point.value) for point in client.get_metric_history(run.id, "loss")]
    assert sorted(points) == [(3, 0.5), *((step, 0.4) for step in range(4, 200))]
    assert client.get_run(run.id).data.metrics["final"] == 0.25
    assert {client.get_run(run_id).info.status for run_id in (run.id, parent_id)} == {"FINISHED"}
    assert (tmp_path / "files" / experiment_id / run.id / "artifacts/notes/note.txt").read_text() == "a note"
    found = client.get_model_version("student", "1")
    assert (version, str(found.version)) == ("1", "1")
    [weights] = (tmp_path / "files").rglob("model.safetensors")
    assert weights.read_bytes() == b"weights"

    monkeypatch.setattr(mlflow_tracking, "START_SECONDS", 1.0)
    monkeypatch.setattr(mlflow_tracking, "END_SECONDS", 1.0)
    lines: list[str] = []
    with MLflowTracker(server.url, "pipeline", tell=lines.append) as watched:
        watched.open("nightly", {}, {})
        with watched.stage("align", "k", {}) as aligning:
            server.stop()
            aligning.metrics({"loss": 0.4})
        with watched.stage("evaluate", "k", {}) as unrecorded:
            unrecorded.metrics({"loss": 0.4})
            assert watched.register_model("student", tmp_path / "student", unrecorded, {}) == ""
        assert unrecorded.id == ""
    told = [line.partition(" http")[0].partition(";")[0] for line in lines]
    assert told == [
        "MLflow has not all that was recorded of align",
        "MLflow was away for too long to record evaluate",
        "MLflow: student is not registered, as its stage could not be recorded.",
        "MLflow has not all that was recorded of the run",
    ]


def model_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder
