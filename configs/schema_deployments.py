"""The shape of `infra/prefect.yaml`: which flows Prefect knows, and when it starts them.

It is Prefect's own format, as far as Retort needs it.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from configs.layers import read_layers
from configs.section import Count, Section


class CronSchedule(Section):
    """When a deployment starts by the clock."""

    cron: str = Field(pattern=r"^\S+( \S+){4}$", description="minute, hour, day of month, month, day of week")
    timezone: str = Field(description="whose clock it is, such as Europe/Paris")
    active: bool = Field(description="whether it starts at all")


class ConcurrencyLimit(Section):
    """How many runs of a deployment may go on at once."""

    limit: Count = Field(description="runs")
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = Field(
        description="what becomes of one more: it waits, or is cancelled"
    )
    grace_period_seconds: int = Field(
        ge=60, le=86400, description="time to begin for a run that got a slot, seconds"
    )


class WorkPoolName(Section):
    """Which workers start a deployment."""

    name: Literal["retort-cpu", "retort-gpu"] = Field(description="the pool")


class EventTrigger(Section):
    """What starts a deployment beside the clock."""

    expect: str = Field(min_length=1, description="name of the event")
    threshold: Count = Field(description="so many of them")
    within: Count = Field(description="in so many seconds")


class DeploymentEntry(Section):
    """One deployment."""

    name: str = Field(min_length=1, description="after the flow's name and a slash")
    entrypoint: str = Field(pattern=r"^flows(\.\w+)+$", description="dotted name of the flow")
    description: str = Field(min_length=1, description="what people read in Prefect")
    work_pool: WorkPoolName
    tags: tuple[str, ...] = Field(description="to search by")
    parameters: dict[str, Any] = Field(description="of runs that are started without any")
    schedules: tuple[CronSchedule, ...] = Field(description="when it starts")
    concurrency_limit: ConcurrencyLimit | None = Field(description="null: no limit")
    triggers: tuple[EventTrigger, ...] = Field(description="what starts it beside the clock")


class DeploymentsFile(Section):
    """All of them."""

    name: str = Field(min_length=1, description="of the project")
    deployments: tuple[DeploymentEntry, ...]


def load_deployments(path: Path) -> DeploymentsFile:
    """Read which flows Prefect is to know.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    return read_layers(DeploymentsFile, [path])
