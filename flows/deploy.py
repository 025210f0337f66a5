"""Tells a Prefect server what it is to know: the worker's pool, the night's deployment and the automations.

All of it is state of that server, so this is done on every `retort up`; what is as it should be is left
alone. Prefect must have been told where the server is (`flows.places.enter`) before this is imported.
"""

import shlex
import sys
from pathlib import Path
from typing import Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, VersionInfo
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from configs.schema_schedule import ScheduleConfig
from flows.automations import automations_of
from flows.night_flow import nightly
from tasks.shared.servers import POOL

DEPLOYMENT = "nightly"
FULL_NAME = f"{nightly.name}/{DEPLOYMENT}"
# A run that was given the slot must begin in this time, or the slot is another's: imports on a busy machine.
GRACE_SECONDS = 900


def bootstrap(schedule: ScheduleConfig, folder: Path | None = None) -> UUID:
    """Bring the server to what the schedule says; a second call changes nothing.

    Args:
        schedule: When nights start by themselves, and which.
        folder: Where nights run, so that relative paths mean what they mean there; None: where they do now.

    Returns:
        Id of the night's deployment.
    """
    with get_client(sync_client=True) as client:
        _make_pool(client)
        known = find_deployment(client)
        where = folder or (known and known.job_variables.get("working_dir")) or Path.cwd()
        # Else Prefect would ask git, and keep what it says of the remote.
        version = VersionInfo(type="prefect:simple", version="")
        deployment = _deployment(schedule, Path(where)).apply(version_info=version)
        assert isinstance(deployment, UUID)
        for automation in automations_of(deployment, schedule.enabled, schedule.threshold):
            put_automation(client, automation)
    return deployment


def find_deployment(client: SyncPrefectClient) -> DeploymentResponse | None:
    """The night's deployment; None if the server does not know it yet."""
    try:
        return client.read_deployment_by_name(FULL_NAME)
    except ObjectNotFound:
        return None


def _make_pool(client: SyncPrefectClient) -> None:
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", description="Processes on this machine.")
        )


def _deployment(schedule: ScheduleConfig, folder: Path) -> RunnerDeployment:
    """The night as Prefect starts it: one at a time; whoever comes second is cancelled, not queued."""
    command = shlex.join([sys.executable, "-P", "-m", "prefect.engine"])
    return RunnerDeployment.from_flow(
        nightly,
        name=DEPLOYMENT,
        description="New feedback in, a model that is never worse out.",
        schedules=[Cron(schedule.cron, timezone=schedule.timezone, slug=DEPLOYMENT)],
        paused=not schedule.enabled,
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1,
            collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW,
            grace_period_seconds=GRACE_SECONDS,
        ),
        parameters={"profile": schedule.profile, "overrides": list(schedule.overrides)},
        work_pool_name=POOL,
        # The command: in the worker's process group, and nothing is installed before it.
        job_variables={"working_dir": str(folder), "command": command},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def put_automation(
    client: SyncPrefectClient, wanted: AutomationCore
) -> Literal["created", "changed", "unchanged"]:
    """Create an automation, or change the one of this name if it is another: a change resets its counts."""
    found = client.read_automations_by_name(wanted.name)
    became: Literal["created", "changed", "unchanged"] = "unchanged"
    if not found:
        client.create_automation(wanted)
        became = "created"
    elif AutomationCore.model_validate(found[0].model_dump()) != wanted:
        client.update_automation(found[0].id, wanted)
        became = "changed"
    for double in found[1:]:
        client.delete_automation(double.id)
    return became
