"""`retort deploy`: work pools, deployments and automations on a Prefect server that others started.

All of it is state of that server, so this is done after every change of the files; what is as it should be
is left alone. Prefect must have been told where the server is (`flows.places.enter`) before this is imported.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, VersionInfo
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.importtools import import_object

from configs.errors import ConfigError, Problem
from configs.schema_deployments import DeploymentEntry, DeploymentsFile
from flows.automations import automations_of
from flows.deploy import put_automation
from tasks.shared.env import PLATFORM_VARIABLE, given_servers

INFRA = Path(__file__).resolve().parents[1] / "infra"
Kind = Literal["process", "docker", "kubernetes"]
# Where stages find the servers; Prefect's own address is told by its worker.
_TOLD = ("MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL_S3", "RETORT_BUCKET")
_COMPARED = (
    "entrypoint",
    "description",
    "work_pool_name",
    "tags",
    "parameters",
    "schedules",
    "concurrency_options",
    "global_concurrency_limit",
)


class Change(NamedTuple):
    """What became of one thing on the server."""

    what: str
    state: Literal["created", "changed", "unchanged"]
    keys: tuple[str, ...] = ()


class Images(NamedTuple):
    """Names of the images that containers are made of; empty: what the template says."""

    cpu: str
    gpu: str


def deploy(wanted: DeploymentsFile, kind: Kind, images: Images, gpu: bool) -> list[Change]:
    """Bring the server to what the files say; a second call changes nothing.

    Args:
        wanted: The deployments.
        kind: What the pools' workers start.
        images: Of containers.
        gpu: Whether there are workers with GPUs; without, every stage runs in the pool of the others.

    Raises:
        ConfigError: A pool is there with another kind, or an address holds a password.
    """
    templates = {name: read_template(kind, name, image) for name, image in images._asdict().items()}
    with get_client(sync_client=True) as client:
        changes = [
            _put_pool(client, f"retort-{name}", kind, template) for name, template in templates.items()
        ]
        for entry in wanted.deployments:
            pool = entry.work_pool.name if gpu else "retort-cpu"
            deployment, change = _put_deployment(client, entry, pool)
            changes += [change, *_put_triggers(client, entry, deployment)]
    return changes


def read_template(kind: Kind, name: str, image: str) -> dict[str, Any]:
    """The base job template of a pool, with where the servers are, and which image it is.

    Raises:
        ConfigError: An address holds a password, which Prefect would keep in clear.
    """
    # Processes of both pools are alike.
    file = f"{kind}.json" if kind == "process" else f"{kind}-{name}.json"
    template: dict[str, Any] = json.loads((INFRA / "pools" / file).read_text("utf-8"))
    properties = template["variables"]["properties"]
    addresses = {variable: value for variable, value in given_servers().items() if variable in _TOLD}
    remedy = "Leave it out: users and passwords are in variables of their own."
    told = [variable for variable, value in addresses.items() if urlsplit(value).password is not None]
    if told:
        raise ConfigError([Problem(one, "an address with a password", "one without", remedy) for one in told])
    env = properties["env"]
    env["default"] = {**(env.get("default") or {}), PLATFORM_VARIABLE: "cluster", **addresses}
    if image:
        properties["image"]["default"] = image
    if kind == "process":
        # Paths in a configuration are those of the source tree, as in an image.
        properties["working_dir"]["default"] = str(INFRA.parent)
    return template


def _put_pool(client: SyncPrefectClient, name: str, kind: Kind, template: dict[str, Any]) -> Change:
    what = f"work pool {name}"
    try:
        known = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
        return Change(what, "created")
    if known.type != kind:
        remedy = f"Delete it (`prefect work-pool delete {name}`), or deploy with `--pools {known.type}`."
        raise ConfigError(Problem(what, f"of type {known.type}", f"of type {kind}", remedy))
    if known.base_job_template == template:
        return Change(what, "unchanged")
    client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
    before = known.base_job_template.get("variables", {}).get("properties", {})
    after = template["variables"]["properties"]
    return Change(what, "changed", _differing(before, after) or ("job_configuration",))


def _put_deployment(client: SyncPrefectClient, entry: DeploymentEntry, pool: str) -> tuple[UUID, Change]:
    flow = import_object(entry.entrypoint)
    name = f"{flow.name}/{entry.name}"
    before = _read(client, name)
    # Else Prefect would ask git, and keep what it says of the remote.
    version = VersionInfo(type="prefect:simple", version="")
    made = RunnerDeployment.from_flow(
        flow,
        name=entry.name,
        description=entry.description,
        tags=list(entry.tags),
        parameters=dict(entry.parameters),
        schedules=[
            Cron(schedule.cron, timezone=schedule.timezone, active=schedule.active, slug=f"cron-{number}")
            for number, schedule in enumerate(entry.schedules)
        ],
        concurrency_limit=_limit(entry),
        work_pool_name=pool,
        entrypoint_type=EntrypointType.MODULE_PATH,
    ).apply(version_info=version)
    assert isinstance(made, UUID)
    after = _read(client, name)
    if not before:
        return made, Change(f"deployment {name}", "created")
    keys = _differing(before, after)
    return made, Change(f"deployment {name}", "changed" if keys else "unchanged", keys)


def _limit(entry: DeploymentEntry) -> ConcurrencyLimitConfig | None:
    if entry.concurrency_limit is None:
        return None
    return ConcurrencyLimitConfig(
        limit=entry.concurrency_limit.limit,
        collision_strategy=ConcurrencyLimitStrategy(entry.concurrency_limit.collision_strategy),
        grace_period_seconds=entry.concurrency_limit.grace_period_seconds,
    )


def _put_triggers(client: SyncPrefectClient, entry: DeploymentEntry, deployment: UUID) -> Iterator[Change]:
    """The automations of a deployment that starts by itself, and with them those that clear up after it."""
    enabled = any(schedule.active for schedule in entry.schedules)
    for trigger in entry.triggers:
        for automation in automations_of(deployment, enabled, trigger.threshold):
            yield Change(f"automation {automation.name}", put_automation(client, automation))


def _read(client: SyncPrefectClient, name: str) -> dict[str, Any]:
    """What of a deployment the file decides; empty if it is not known yet."""
    try:
        known = client.read_deployment_by_name(name)
    except ObjectNotFound:
        return {}
    found = {key: getattr(known, key) for key in _COMPARED}
    found["schedules"] = sorted(
        (getattr(one.schedule, "cron", ""), getattr(one.schedule, "timezone", ""), one.active)
        for one in known.schedules
    )
    limit = known.global_concurrency_limit
    found["global_concurrency_limit"] = limit.limit if limit else None
    return found


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key in sorted({*before, *after}) if before.get(key) != after.get(key))
