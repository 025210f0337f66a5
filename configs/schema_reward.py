"""How the reward model learns from rankings: the section `reward`."""

from typing import Literal

from pydantic import Field, model_validator

from configs.schema_gate import GateConfig
from configs.schema_learning import LearningConfig
from configs.section import Share

RewardLoss = Literal["bradley_terry", "rao_kupper", "plackett_luce"]


class RewardConfig(LearningConfig):
    """How the reward model learns from what annotators said."""

    loss: RewardLoss = Field(
        description="bradley_terry: pairs, ties dropped; rao_kupper: pairs, ties counted; plackett_luce: "
        "whole rankings, ties counted"
    )
    floor_weight: float = Field(
        ge=0,
        le=100,
        description="weight of the loss that holds answers marked F below a score of 0 and the others above, "
        "against that of the comparisons; 0: off",
    )
    margin_scale: float = Field(
        ge=0,
        le=10,
        description="ratings: by how much scores must differ for each mark between two answers, nats; 0: off",
    )
    ensemble: int = Field(
        ge=1,
        le=64,
        description="heads on one trunk, each taught by its own draw of the questions; where they differ "
        "more a score is less sure; 1: no such measure",
    )
    warm_start: str | None = Field(
        min_length=1,
        description="reward model to start from: the key of an artifact of stage `reward`, or the folder of "
        "one; null: the distilled student",
    )
    frozen_layers: int = Field(ge=0, description="bottom layers that are not trained")
    holdout_share: Share = Field(description="share of the questions kept for measuring accuracy")
    gate: GateConfig

    @model_validator(mode="after")
    def _margins_are_of_pairs(self) -> "RewardConfig":
        if self.margin_scale and self.loss == "plackett_luce":
            raise ValueError(
                f"`reward.margin_scale` {self.margin_scale} is between pairs, and `reward.loss` "
                "plackett_luce has none"
            )
        return self
