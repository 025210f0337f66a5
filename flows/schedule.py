"""When this home's nights start: what the platform says, and what `retort schedule set` changed.

The changes are in a file of the home, so that they outlive the Prefect server and its database.
"""

from collections.abc import Sequence
from pathlib import Path

from configs.errors import ConfigError, Problem
from configs.load import load_platform
from configs.schema_schedule import ScheduleConfig
from configs.yaml_text import write_yaml
from flows.places import enter
from tasks.shared.disk import replacing
from tasks.shared.env import Env
from tasks.shared.errors import ServiceError
from tasks.shared.services import Services, find_services

PLATFORM = "local"


def read_schedule(home: Path, changes: Sequence[str] = ()) -> ScheduleConfig:
    """When nights of this home start by themselves.

    Args:
        home: The folder of all state.
        changes: Texts of the form `key=value`, such as `cron=0 3 * * *`, that go before what is set.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    overrides = [f"schedule.{change}" for change in changes]
    schedule = load_platform(PLATFORM, _wishes(home), overrides).schedule
    if schedule is None:
        raise ConfigError(
            Problem("schedule", "null", "a section with keys", f"Delete it in {_wishes(home)}.")
        )
    return schedule


def change_schedule(home: Path, changes: Sequence[str]) -> ScheduleConfig:
    """Set keys of the schedule for good; all of them or none.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    schedule = read_schedule(home, changes)
    check_cron(schedule)
    default = load_platform(PLATFORM).schedule
    before = default.model_dump(mode="json") if default else {}
    now = schedule.model_dump(mode="json")
    changed = {key: value for key, value in now.items() if value != before.get(key)}
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(_wishes(home)) as out:
        out.write(write_yaml({"schedule": changed}).encode())
    return schedule


def check_cron(schedule: ScheduleConfig) -> None:
    """Let Prefect, which will read it, check the time.

    Raises:
        ConfigError: It is not one that Prefect can read.
    """
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    except ValidationError as error:
        remedy = "Write minute, hour, day of month, month and day of week, such as `0 2 * * *`."
        told = "; ".join(str(one["msg"]) for one in error.errors())
        raise ConfigError(
            Problem("schedule.cron", f"`{schedule.cron}` ({told})", "a time as cron writes it", remedy)
        ) from None


def connect(env: Env) -> Services:
    """Find the servers and tell Prefect's library where they are; call it before Prefect is imported.

    Raises:
        ServiceError: None are running.
    """
    services = find_services(env.home)
    if services is None:
        raise ServiceError(Problem("servers", "none that run", "running servers", "Start them: `retort up`."))
    enter(load_platform(PLATFORM), env, services, quiet=True)
    return services


def _wishes(home: Path) -> Path:
    return home / "schedule.yaml"
