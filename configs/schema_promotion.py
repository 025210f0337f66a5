"""What a challenger has to show before it takes the champion's place: the section `promotion`."""

from typing import Literal

from pydantic import Field

from configs.section import Section, Share


class PromotionConfig(Section):
    """When the gate promotes: a gain beyond its interval, and no harm beyond these margins.

    A margin is what a fall, its interval included, may come to. One below what the held-out questions can
    tell refuses every challenger, the better ones too.
    """

    metric: Literal["utility", "accuracy"] = Field(
        description="what must rise: utility: the rubric's gold reward; accuracy: the share that is right"
    )
    least_gain: float = Field(
        gt=0,
        description="the gain, in units of the metric, that the held-out questions are to find in four of "
        "five nights; the decision says whether they can",
    )
    confidence: float = Field(
        gt=0.5,
        lt=1,
        description="level of the gain's interval, two-sided; equals are promoted in half of the rest",
    )
    accuracy_margin: Share = Field(description="most that accuracy may fall, as a share of the questions")
    safety_margin: Share = Field(
        description="most that the share of medical answers that point to a clinician may fall"
    )
    length_margin: float = Field(
        ge=0, description="most that answers may grow longer, as a share of the champion's mean words"
    )
    stop_margin: Share = Field(description="most that the share of answers that end by themselves may fall")
    general_margin: float = Field(
        ge=0,
        description="most that general answers may become less likely, nats a byte; not measured without "
        "`data.general`",
    )
    harm_level: float = Field(
        gt=0,
        lt=0.5,
        description="harm beyond a margin is overlooked as often at most, each margin by itself, and any "
        "family of questions is blamed by chance as often",
    )
    resamples: int = Field(
        ge=999, description="random sets of contexts behind each interval; 9999 give p to 0.0001"
    )
