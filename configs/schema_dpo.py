"""How preferences are learnt without a reward model: the section `dpo`."""

from typing import Literal

from pydantic import Field

from configs.schema_learning import LearningConfig


class DPOConfig(LearningConfig):
    """Direct optimisation of the distilled student by what people judged, without a reward model."""

    algorithm: Literal["dpo", "trl_dpo", "kto"] = Field(
        description="dpo: pairs, each question read once with all its answers; trl_dpo: the same loss by "
        "TRL's trainer; kto: single answers that are desirable or not, by TRL's trainer"
    )
    beta: float = Field(
        gt=0, description="implicit reward per nat of log-ratio to the distilled model; lower moves further"
    )
    frozen_layers: int = Field(ge=0, description="bottom layers that are not trained")
