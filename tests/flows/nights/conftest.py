"""A real Prefect server that knows nights, with a real worker that starts them.

A night here does as its overrides say, and notes each beginning in a file.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from configs.load import load_platform
from configs.schema_schedule import ScheduleConfig
from tasks.shared.env import server_environment, worker_environment
from tasks.shared.launching import launch_server, wait_ready
from tasks.shared.processes import pick_ports, stop
from tasks.shared.servers import (
    PREFECT,
    WORKER,
    prefect_api,
    prefect_launch,
    prefect_probe,
    probe_worker,
    worker_launch,
)
from tasks.shared.service_files import ServerRecord, prefect_login, write_records

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

ROOT = Path(__file__).parents[3]
THRESHOLD = 3
SECONDS = 300  # of patience; a server starts in 15 on a quiet machine
_PRETENDED = """
import pathlib, time
from prefect import flow
from flows.approval import ask_approval

NOTES = pathlib.Path(__file__).parent / "notes"

def note(text):
    with NOTES.open("a") as notes:
        print(text, file=notes)

@flow(name="nightly", persist_result=False)
def nightly(profile: str | None = None, overrides: list[str] = []):
    note(f"began {overrides}")
    if "ask" in overrides:
        told = ask_approval("**Gain 0.12** [0.03, 0.21]", 2)
        note(f"{told.approved} {told.by} {told.reason}")
    if "wait" in overrides:
        while not NOTES.with_name("go").exists():
            time.sleep(0.1)
    return {}
"""


@dataclass
class World:
    """A server, a worker, and a client of the server."""

    home: Path
    folder: Path
    port: int
    records: dict[str, ServerRecord] = field(default_factory=dict)
    client: "SyncPrefectClient" = field(init=False)

    def serve(self) -> None:
        """Start the server, on the port where it was."""
        login = prefect_login(self.home)
        launch = prefect_launch(self.home, self.port, server_environment(self.home), login)
        self.records[PREFECT] = launch_server(launch, self.home, PREFECT, self.port)
        write_records(self.home, self.records)

    def wait(self) -> None:
        """Wait until the server is ready."""
        probe = prefect_probe(prefect_login(self.home))
        wait_ready({PREFECT: self.records[PREFECT]}, {PREFECT: probe}, lambda *_: None, SECONDS)

    def work(self) -> None:
        """Start the worker, which asks often."""
        [port] = pick_ports({WORKER: 0}).values()
        own = {
            "PREFECT_API_URL": prefect_api(self.port),
            "PREFECT_API_AUTH_STRING": prefect_login(self.home),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PYTHONPATH": os.pathsep.join((str(self.folder), str(ROOT))),
        }
        launch = worker_launch(self.home, port, worker_environment(self.home) | own)
        self.records[WORKER] = launch_server(launch, self.home, WORKER, port)
        wait_ready({WORKER: self.records[WORKER]}, {WORKER: probe_worker}, lambda *_: None, SECONDS)

    @property
    def schedule(self) -> ScheduleConfig:
        """What the server was told."""
        default = load_platform("local").schedule
        assert default is not None
        return default.model_copy(update={"timezone": "Europe/Berlin", "threshold": THRESHOLD})

    def notes(self) -> list[str]:
        """What nights noted."""
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def start(self, *overrides: str) -> "FlowRun":
        """Start a night."""
        from flows.deploy import find_deployment

        night = find_deployment(self.client)
        assert night is not None
        parameters = {"overrides": list(overrides)}
        return self.client.create_flow_run_from_deployment(night.id, parameters=parameters)

    def begin(self, name: str) -> "FlowRun":
        """Start a night that waits, and see it begin."""
        (self.folder / "go").unlink(missing_ok=True)
        run = self.start("wait", name)
        self.until(lambda: f"began ['wait', '{name}']" in self.notes())
        return run

    def go_on(self) -> None:
        """Let nights that wait go on."""
        (self.folder / "go").touch()

    def state(self, run: "FlowRun") -> str:
        """The name of a run's state."""
        return str(self.client.read_flow_run(run.id).state_name)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for something to be so."""
        found = self.comes(condition, SECONDS)
        assert found, "waited in vain"
        return found

    def comes(self, condition: Callable[[], Any], seconds: float) -> Any:
        """Wait for something to be so, but not longer than that; falsy where it did not come."""
        deadline = time.monotonic() + seconds
        while not (found := condition()) and time.monotonic() < deadline:
            time.sleep(0.3)
        return found


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that was told of nights, and a worker."""
    folder = tmp_path_factory.mktemp("night")
    (folder / "pretended_night.py").write_text(_PRETENDED)
    made = World(folder / "a home", folder, pick_ports({PREFECT: 0})[PREFECT])
    try:
        made.serve()
        with pytest.MonkeyPatch.context() as patch:
            # Meanwhile, on the other core.
            from flows import deploy

            patch.syspath_prepend(folder)
            import pretended_night  # type: ignore[import-not-found]
            from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

            patch.setattr(deploy, "nightly", pretended_night.nightly)
            made.wait()
            login = prefect_login(made.home)
            there = {PREFECT_API_URL: prefect_api(made.port), PREFECT_API_AUTH_STRING: login}
            with temporary_settings(there), deploy.get_client(sync_client=True) as made.client:
                deploy.bootstrap(made.schedule, folder)
                made.work()
                yield made
    finally:
        stop([record.process for record in made.records.values()], 10)
