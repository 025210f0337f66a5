"""The start of the worker, which waits for the servers of `retort up`; `services` shows and stops it."""

from pathlib import Path

from tasks.shared.env import worker_environment
from tasks.shared.launching import launch_server, wait_ready
from tasks.shared.processes import pick_ports, stop
from tasks.shared.servers import WORKER, WORKER_PORT, probe_worker, worker_launch
from tasks.shared.service_files import read_records, write_records
from tasks.shared.services import Report, Services, client_settings, only_one

_START_SECONDS = 120.0
_STOP_SECONDS = 15.0


def start_worker(home: Path, services: Services, report: Report) -> None:
    """Start the worker unless it runs, and wait until it asks Prefect for work.

    Args:
        home: The folder of all state.
        services: The running servers; Prefect must know the worker's pool.
        report: Called with its name and what happened to it.

    Raises:
        ServiceError: It did not become ready, and is stopped again.
    """
    home = home.absolute()
    with only_one(home, report):
        records = read_records(home)
        if WORKER in records and records[WORKER].process.is_alive():
            report(WORKER, f"already started (process {records[WORKER].process.pid})")
            return
        wish = records[WORKER].port if WORKER in records else WORKER_PORT
        port = pick_ports({WORKER: wish})[WORKER]
        environment = worker_environment(home) | client_settings(home, services)
        worker = launch_server(worker_launch(home, port, environment), home, WORKER, port)
        # At once: if we are killed now, `retort down` must find it.
        write_records(home, records | {WORKER: worker})
        report(WORKER, f"starts (process {worker.process.pid})")
        try:
            wait_ready({WORKER: worker}, {WORKER: probe_worker}, report, _START_SECONDS)
        except BaseException:
            stop([worker.process], _STOP_SECONDS)
            write_records(home, records)
            raise
