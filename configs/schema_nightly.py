"""What a night needs, and what it goes back to."""

from pydantic import Field

from configs.section import Count, Section


class CollectConfig(Section):
    """Which feedback a night learns from, beside all that is new."""

    replay: int = Field(
        ge=0,
        description="most earlier events that are learnt again beside the new ones, lest the old be "
        "forgotten; those of whole questions, drawn anew every night",
    )


class NightlyConfig(Section):
    """When a night begins, how much of it there is, and who has the last word."""

    least_events: Count = Field(
        description="new events without which a night ends before it computes anything"
    )
    replay_per_event: float = Field(
        ge=0, description="earlier events that are learnt again for each new one, up to `collect.replay`"
    )
    events_per_update: Count = Field(
        description="new events for each of PPO's updates, up to `ppo.updates`; the last may have fewer"
    )
    approval: bool = Field(
        description="ask a person before a challenger that passed the gate becomes champion"
    )
