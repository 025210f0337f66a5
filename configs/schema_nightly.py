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
    """When a night begins, and who has the last word; nothing here changes what is computed."""

    least_events: Count = Field(
        description="new events without which a night ends before it computes anything"
    )
    approval: bool = Field(
        description="ask a person before a challenger that passed the gate becomes champion"
    )
