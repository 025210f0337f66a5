"""How often each family of questions is seen in training: the section `distill.mixture`."""

from typing import Annotated

from pydantic import Field

from configs.section import Section

Weight = Annotated[float, Field(ge=0)]


class MixtureConfig(Section):
    """The share of each task family, and of general instructions, in training."""

    weights: dict[str, Weight] = Field(
        description="weight of a task family beside its number of examples, by name; 1 where none is stated"
    )
    temperature: float = Field(
        ge=1,
        description="a family of n examples counts as n to the power of 1 / this: 1 in proportion",
    )
    replay_share: float = Field(
        ge=0,
        lt=1,
        description="share of the training answer tokens that come from `data.general`, against forgetting; "
        "they are added to an epoch",
    )
