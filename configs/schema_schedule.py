"""When the servers of `retort up` start a night by themselves: the section `schedule` of a platform."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from configs.section import Section

# What waits to be announced to Prefect is bounded by it too: more would start no other night.
MOST_EVENTS = 1000
# Of who approves a model and of why, characters.
LONGEST_NAME, LONGEST_REASON = 100, 1000


class ScheduleConfig(Section):
    """What starts a night, and which night it is."""

    enabled: bool = Field(description="whether nights start by themselves, by the clock and by feedback")
    cron: str = Field(
        pattern=r"^\S+( \S+){4}$", description="when: minute, hour, day of month, month, day of week"
    )
    timezone: str = Field(description="whose clock `cron` means: a name such as UTC or Europe/Berlin")
    threshold: int = Field(
        ge=1,
        le=MOST_EVENTS,
        description="judgements within 24 hours that start a night before its time, at most once in these",
    )
    profile: str | None = Field(
        description="YAML file of the night, as `retort nightly` takes it; null: its default"
    )
    overrides: tuple[str, ...] = Field(description="changes such as ppo.updates=4")

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("a time zone of the IANA database, such as UTC or Europe/Berlin") from None
        return name
