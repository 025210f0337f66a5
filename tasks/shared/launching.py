"""Starting a server and waiting until it is ready, whichever server it is and however long it shall live."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from configs.errors import Problem
from tasks.shared.errors import ServiceError
from tasks.shared.processes import holds_port, spawn
from tasks.shared.servers import Launch, Probe, address
from tasks.shared.service_files import ServerRecord

_POLL_SECONDS = 0.1
_LOG_LINES = 15


def launch_server(launch: Launch, home: Path, name: str, port: int) -> ServerRecord:
    """Start a server, without waiting for it.

    Args:
        launch: How it is started.
        home: The folder of all state; the output goes to `logs/<name>.log` in it.
        name: The server's name.
        port: The loopback port that it was told to serve.
    """
    log = home / "logs" / f"{name}.log"
    log_start = log.stat().st_size if log.exists() else 0
    process = spawn(launch.command, launch.environment, launch.folder, log)
    return ServerRecord(
        port=port, process=process, started_at=datetime.now(UTC), log=log, log_start=log_start
    )


def wait_ready(
    records: Mapping[str, ServerRecord],
    probes: Mapping[str, Probe],
    report: Callable[[str, str], None],
    seconds: float,
) -> None:
    """Wait until every server answers its probe.

    Args:
        records: The servers, by name.
        probes: What each is asked, by name.
        report: Called with a server's name and after how long it was ready.
        seconds: How long to wait for all together.

    Raises:
        ServiceError: One died, or did not become ready in time; the message has the end of its log.
    """
    began = time.monotonic()
    waiting = dict(records)
    while waiting:
        complaints = {name: _complaint(record, probes[name]) for name, record in waiting.items()}
        elapsed = time.monotonic() - began
        for name in [name for name, complaint in complaints.items() if complaint is None]:
            report(name, f"ready at {address(waiting.pop(name).port)} after {elapsed:.1f} s")
        dead = [name for name, record in waiting.items() if not record.process.is_alive()]
        if dead:
            raise ServiceError([_problem(name, "it ended while it started", waiting[name]) for name in dead])
        if elapsed > seconds:
            raise ServiceError(
                [
                    _problem(name, f"{complaints[name]} after {seconds:.0f} s", record)
                    for name, record in waiting.items()
                ]
            )
        time.sleep(_POLL_SECONDS if waiting else 0)


def _complaint(record: ServerRecord, probe: Probe) -> str | None:
    if not holds_port(record.process, record.port):
        return "it does not listen"
    return probe(record.port)


def _problem(name: str, got: str, record: ServerRecord) -> Problem:
    with record.log.open("rb") as log:
        log.seek(record.log_start)
        lines = log.read().decode(errors="replace").splitlines()
    end = "\n".join(f"    {line}" for line in lines[-_LOG_LINES:])
    return Problem(
        name,
        f"{got}; its log ends with\n{end}\n",
        f"a server that is ready at {address(record.port)}",
        f"Mend what the log ({record.log}) says; if the server hangs, `retort down` ends it.",
    )
