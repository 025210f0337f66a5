"""The life of the local servers: `retort up`, `down` and `status`.

What each server is told is in `servers`; the Prefect server of a single run is in `run_prefect`, the start of
the worker in `worker`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from tasks.shared.disk import exclusive
from tasks.shared.env import server_environment
from tasks.shared.launching import launch_server, wait_ready
from tasks.shared.processes import Process, accepts, pick_ports, stop
from tasks.shared.servers import (
    BUCKET,
    MLFLOW,
    PREFECT,
    PREFERRED_PORTS,
    S3,
    WEED_TWIN,
    WORKER,
    Launch,
    Probe,
    address,
    answers,
    aws_variables,
    mlflow_launch,
    prefect_api,
    prefect_launch,
    prefect_probe,
    probe_mlflow,
    s3_launch,
    s3_probe,
)
from tasks.shared.service_files import (
    S3Credentials,
    ServerRecord,
    make_s3_credentials,
    prefect_login,
    read_records,
    read_s3_credentials,
    write_records,
)

Report = Callable[[str, str], None]
State = Literal["running", "not answering", "dead", "not started"]

SERVERS = (PREFECT, MLFLOW, S3)
# Who was told where another is, and must be told again when that moves.
FOLLOWERS = ((MLFLOW, S3), (WORKER, PREFECT))

_START_SECONDS = 120.0
_STOP_SECONDS = 15.0


class Services(BaseModel):
    """Where the running local servers are.

    Attributes:
        prefect_api_url: What Prefect's clients want as `PREFECT_API_URL`.
        mlflow_url: The tracking URI; the UI is there too.
        s3_endpoint: The S3 server; `service_files.read_s3_credentials` gives its key pair.
        buckets: The buckets that it has for us.
        pids: The process of each server, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefect_api_url: str
    mlflow_url: str
    s3_endpoint: str
    buckets: tuple[str, ...]
    pids: dict[str, int]


class ServiceStatus(NamedTuple):
    """One line of `retort status`; what is None does not apply to a server that was not started."""

    name: str
    url: str | None
    pid: int | None
    state: State
    since: datetime | None
    log: Path | None


def start_services(home: Path, report: Report) -> Services:
    """Start those of the three servers that do not run, all at once, and wait until all are ready.

    Args:
        home: The folder of all state; made if missing.
        report: Called with a server's name and what happened to it.

    Raises:
        ServiceError: One died or did not become ready. Those that this call started are stopped.
    """
    home = home.absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(home, report), ExitStack() as undo:
        before = read_records(home)
        credentials = make_s3_credentials(home)
        ports = _choose_ports(before)
        records = _stop_misled(before, ports, report)
        started: list[Process] = []
        undo.callback(write_records, home, before)
        undo.callback(lambda: stop(started, _STOP_SECONDS))
        for name, launch in _launches(home, ports, credentials).items():
            if name in records:
                report(name, f"already started (process {records[name].process.pid})")
                continue
            records[name] = launch_server(launch, home, name, ports[name])
            started.append(records[name].process)
            # At once: if we are killed now, `retort down` must find it.
            write_records(home, records)
            report(name, f"starts (process {records[name].process.pid})")
        wait_ready(_servers(records), _probes(home, credentials), report, _START_SECONDS)
        undo.pop_all()
    return _services(records)


def find_services(home: Path) -> Services | None:
    """Give the running servers; None unless all three run and accept connections. Takes milliseconds."""
    records = read_records(home.absolute())
    serving = {name for name, record in _alive(records).items() if accepts(record.port)}
    return _services(records) if serving.issuperset(SERVERS) else None


def prefect_port(home: Path) -> int | None:
    """Where the Prefect server of `retort up` is, if its process lives, whatever became of the others."""
    record = _alive(read_records(home.absolute())).get(PREFECT)
    return record.port if record is not None else None


def client_settings(home: Path, services: Services) -> dict[str, str]:
    """Give the variables by which Prefect, MLflow and boto3 in this process find the servers.

    They hold Prefect's login and the S3 server's key pair: hand them to `env.export`, and to nobody else.
    """
    return {
        "PREFECT_API_URL": services.prefect_api_url,
        "PREFECT_API_AUTH_STRING": prefect_login(home.absolute()),
        "MLFLOW_TRACKING_URI": services.mlflow_url,
        **aws_variables(read_s3_credentials(home.absolute())),
    }


def services_status(home: Path) -> list[ServiceStatus]:
    """Give one row for each server and the worker, also for those that do not run."""
    records = read_records(home.absolute())
    return [_status_of(name, records.get(name)) for name in (*SERVERS, WORKER)]


def stop_services(home: Path) -> dict[str, str]:
    """Stop the servers and the worker that were recorded, and nothing else.

    The worker goes first, so that a night that it runs can still tell Prefect that it ends.

    Returns:
        What became of each recorded server, by name; empty if none was recorded.
    """
    home = home.absolute()
    if not home.exists():
        return {}
    with only_one(home, lambda _name, _message: None):
        records = read_records(home)
        alive = _alive(records)
        killed = stop([record.process for name, record in alive.items() if name == WORKER], _STOP_SECONDS)
        killed += stop([record.process for record in alive.values()], _STOP_SECONDS)
        write_records(home, {})
    outcomes = dict.fromkeys(records, "was dead already")
    for name, record in alive.items():
        how = f"killed after {_STOP_SECONDS:.0f} s" if record.process in killed else "stopped"
        outcomes[name] = f"{how} (process {record.process.pid})"
    return outcomes


def only_one(home: Path, report: Report) -> AbstractContextManager[object]:
    """Keep two commands from starting and stopping the same servers at a time."""
    return exclusive(home / "services.lock", lambda: report("retort", "waits for another `up` or `down`"))


def _alive(records: Mapping[str, ServerRecord]) -> dict[str, ServerRecord]:
    return {name: record for name, record in records.items() if record.process.is_alive()}


def _choose_ports(before: Mapping[str, ServerRecord]) -> dict[str, int]:
    """Choose a port for each server and part: of the living its own, of the dead its last one if free."""
    taken = {name: record.port for name, record in _alive(before).items()}
    wishes = PREFERRED_PORTS | {name: record.port for name, record in before.items()}
    return pick_ports({name: port for name, port in wishes.items() if name not in taken}, WEED_TWIN) | taken


def _stop_misled(
    before: Mapping[str, ServerRecord], ports: Mapping[str, int], report: Report
) -> dict[str, ServerRecord]:
    """Stop who was told of a server that is at another port now; give the living that remain."""
    for follower, leader in FOLLOWERS:
        moved = leader not in before or before[leader].port != ports[leader]
        if moved and follower in _alive(before):
            report(follower, f"restarts, because {leader} moves to another port")
            stop([before[follower].process], _STOP_SECONDS)
    return _alive(before)


def _servers(records: Mapping[str, ServerRecord]) -> dict[str, ServerRecord]:
    return {name: records[name] for name in SERVERS}


def _launches(home: Path, ports: Mapping[str, int], credentials: S3Credentials) -> dict[str, Launch]:
    environment = server_environment(home)
    return {
        S3: s3_launch(home, ports, environment, credentials),
        MLFLOW: mlflow_launch(home, ports[MLFLOW], environment, ports[S3], credentials),
        PREFECT: prefect_launch(home, ports[PREFECT], environment, prefect_login(home)),
    }


def _probes(home: Path, credentials: S3Credentials) -> dict[str, Probe]:
    return {
        S3: s3_probe(credentials),
        MLFLOW: probe_mlflow,
        PREFECT: prefect_probe(prefect_login(home)),
    }


def _services(records: Mapping[str, ServerRecord]) -> Services:
    return Services(
        prefect_api_url=prefect_api(records[PREFECT].port),
        mlflow_url=address(records[MLFLOW].port),
        s3_endpoint=address(records[S3].port),
        buckets=(BUCKET,),
        pids={name: record.process.pid for name, record in _servers(records).items()},
    )


def _status_of(name: str, record: ServerRecord | None) -> ServiceStatus:
    if record is None:
        return ServiceStatus(name, None, None, "not started", None, None)
    state: State = "dead"
    if record.process.is_alive():
        state = "running" if answers(record.port) else "not answering"
    url = address(record.port)
    return ServiceStatus(name, url, record.process.pid, state, record.started_at, record.log)
