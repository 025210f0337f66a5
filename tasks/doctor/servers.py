"""The servers of `retort up`: whether they answer, whether they agree on the time, and what Prefect knows."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tasks.doctor.check import Check, fail, ok, warn
from tasks.place import Place
from tasks.shared.errors import ServiceError
from tasks.shared.s3_bucket import Bucket
from tasks.shared.servers import (
    MLFLOW,
    POOL,
    PREFECT,
    S3,
    WORKER,
    Probe,
    basic_authorization,
    prefect_probe,
    probe_mlflow,
    probe_worker,
    s3_probe,
)
from tasks.shared.service_files import prefect_login, read_records, read_s3_credentials
from tasks.shared.services import services_status

NIGHT = "nightly/nightly"
# What `retort up` tells Prefect to do by itself is named so.
OURS = "retort: "

# HTTP tells time in whole seconds. A signature that is a quarter of an hour off is refused by S3.
_FEW_SECONDS, _MANY_SECONDS = 3.0, 300.0
_ANSWER_SECONDS = 10.0
_UP = "`retort up` starts what is missing."

Ask = Callable[[str, object], Any]


def servers(home: Path) -> Iterator[Check]:
    """Each server: whether it lives, and whether it does what it is for."""
    rows = services_status(home)
    if all(row.state == "not started" for row in rows):
        yield ok("servers", "none started; runs compute in this home alone")
        return
    ports = {name: record.port for name, record in read_records(home).items()}
    probes: dict[str, Probe] = {
        PREFECT: prefect_probe(prefect_login(home)),
        MLFLOW: probe_mlflow,
        WORKER: probe_worker,
    }
    # Without its credentials there is nothing to ask it.
    with suppress(ServiceError):
        probes[S3] = s3_probe(read_s3_credentials(home))
    for row in rows:
        if row.state in ("not started", "dead"):
            yield fail(row.name, row.state, _UP)
            continue
        complaint = probes[row.name](ports[row.name]) if row.name in probes else None
        if complaint or row.state == "not answering":
            yield fail(row.name, complaint or row.state, f"See {row.log}; then `retort down`, `retort up`.")
        else:
            yield ok(row.name, f"answers at {row.url}")


def server_clock(place: Place) -> Iterator[Check]:
    """This machine's clock against that of the S3 server."""
    if place.s3_endpoint is None or place.s3_bucket is None:
        return
    told = Bucket(place.s3_bucket, place.s3_endpoint).clock()
    if told is None:
        yield fail("bucket", f"there is none named {place.s3_bucket}", _UP)
        return
    yield compared((told - datetime.now(UTC)).total_seconds())


def compared(ahead: float) -> Check:
    """What a difference of clocks means.

    Args:
        ahead: Seconds by which the server's clock is ahead of this machine's.
    """
    found = f"the S3 server's is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
    remedy = "Set both by a time server; S3 refuses whom it finds a quarter of an hour off."
    if abs(ahead) < _FEW_SECONDS:
        return ok("server's clock", "the S3 server's agrees")
    kind = fail if abs(ahead) > _MANY_SECONDS else warn
    return kind("server's clock", found, remedy)


def schedule(api: str, login: str) -> Iterator[Check]:
    """What the Prefect server knows of nights: pool, worker, deployment, automations and the last run.

    Args:
        api: The server's address, with `/api`.
        login: What it asks for.
    """
    ask = _asking(api, login)
    pool, night = ask(f"work_pools/{POOL}", None), ask(f"deployments/name/{NIGHT}", None)
    if pool is None or night is None:
        missing = "work pool" if pool is None else "deployment"
        yield fail("schedule", f"Prefect knows no {missing} for nights", _UP)
        return
    yield _pool(pool, ask(f"work_pools/{POOL}/workers/filter", {}) or [])
    yield _times(night)
    yield _automations(ask("automations/filter", {}) or [])
    runs = ask(
        "flow_runs/filter",
        {"deployments": {"id": {"any_": [night["id"]]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 20},
    )
    yield _last_run([run for run in runs or [] if run["state_type"] != "SCHEDULED"])
    late = [run for run in runs or [] if run.get("state_name") == "Late"]
    if late:
        yield warn("late nights", f"{len(late)} wait for a worker", _UP)


def _asking(api: str, login: str) -> Ask:
    headers = {"Content-Type": "application/json", "Authorization": basic_authorization(login)}

    def ask(path: str, question: object) -> Any:
        """What the server says; None if it knows no such thing."""
        body = None if question is None else json.dumps(question).encode()
        request = urllib.request.Request(f"{api}/{quote(path)}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.NOT_FOUND:
                    return None
            raise

    return ask


def _pool(pool: dict[str, Any], workers: list[dict[str, Any]]) -> Check:
    online = [worker for worker in workers if worker.get("status") == "ONLINE"]
    if pool.get("is_paused"):
        return warn("work pool", "it is paused", f"`prefect work-pool resume {POOL}`, if that is over.")
    if not online:
        return fail("work pool", "nobody asks for work, so no night starts", _UP)
    return ok("work pool", f"{len(online)} asks for work")


def _times(night: dict[str, Any]) -> Check:
    active = [one["schedule"] for one in night.get("schedules", []) if one.get("active")]
    if night.get("paused") or not active:
        return warn("schedule", "nights do not start by themselves", "`retort schedule` starts it again.")
    told = "; ".join(f"{one.get('cron')} in {one.get('timezone')}" for one in active)
    return ok("schedule", f"nights start at {told}")


def _automations(automations: list[dict[str, Any]]) -> Check:
    ours = [one for one in automations if one["name"].startswith(OURS)]
    off = [one["name"].removeprefix(OURS) for one in ours if not one["enabled"]]
    if not ours:
        return fail("automations", "none: runs that die would stay Running for ever", _UP)
    if off:
        return warn("automations", f"switched off: {', '.join(off)}", "Switch them on in Prefect's page.")
    return ok("automations", f"{len(ours)} are on")


def _last_run(runs: list[dict[str, Any]]) -> Check:
    if not runs:
        return ok("last night", "none yet")
    last = runs[0]
    told = f"{last['state_name']}, {last.get('start_time') or last.get('expected_start_time')}"
    if last["state_type"] in ("FAILED", "CRASHED"):
        remedy = f"Read why in Prefect's page: run {last['name']}. Started again, it goes on where it was."
        return warn("last night", told, remedy)
    return ok("last night", told)
