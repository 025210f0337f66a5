"""What a reward model has to show before PPO may learn from it: the section `reward.gate`."""

from pydantic import Field

from configs.section import Count, Section


class GateConfig(Section):
    """When a reward model's card says go. Whether PPO heeds it is `ppo.reward_gate`."""

    least_pairs: Count = Field(
        description="held-out pairs of answers below which the card says that nobody can tell"
    )
    least_questions: Count = Field(
        description="held-out questions below which it says so: pairs of one question are not independent"
    )
    confidence: float = Field(
        gt=0.5, lt=1, description="level of the card's intervals; a lead must lie above 0 with all of its own"
    )
    resamples: int = Field(ge=100, description="bootstrap resamples of the held-out questions")
