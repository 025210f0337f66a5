"""How the student learns: the section `distill`."""

from typing import Literal

from pydantic import Field

from configs.schema_learning import LearningConfig
from configs.schema_mixture import MixtureConfig
from configs.schema_tuning import TuningConfig
from configs.section import Count, Divergence, Schedule, Section, Share

Targets = Literal["all", "gold", "teacher"]


class OnPolicyConfig(Section):
    """Steps in which the student learns from what the teacher thinks of its own answers."""

    share: Share = Field(description="share of the optimiser steps; needs the teacher in memory; 0: none")
    temperature: float = Field(ge=0, le=2, description="of the student's answers; 0 is greedy")
    max_new_tokens: Count = Field(description="longest answer, tokens")


class DistillConfig(LearningConfig):
    """How the student learns from labels."""

    kd_weight: Share = Field(
        description="weight of the divergence from the teacher; the rest is cross-entropy on gold"
    )
    divergence: Divergence = Field(description="how the student's distribution is held against the teacher's")
    skew: float = Field(
        gt=0, lt=1, description="share of the first side in the mixture that a skewed KL compares it with"
    )
    on_policy: OnPolicyConfig
    targets: Targets = Field(
        description="whose answers are learnt: gold, the teacher's (sequence-level distillation), or all"
    )
    validate_every: Count = Field(description="optimiser steps between validations")
    mixture: MixtureConfig
    schedule: Schedule = Field(
        description="of the rate after warm-up: half a cosine or a line down to a tenth, constant, or wsd: "
        "constant, then a line down to a tenth"
    )
    decay_share: float = Field(
        gt=0, le=1, description="wsd: share of the steps after warm-up in which the rate falls"
    )
    patience: int = Field(
        ge=0,
        description="validations in a row without a lower valid_nll after which training ends; the weights "
        "of the lowest are given back. 0: train to the end and keep the last weights",
    )
    tuning: TuningConfig
