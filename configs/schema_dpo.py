"""How preferences are learnt without a reward model: the section `dpo`."""

from pydantic import Field

from configs.section import Count, LearningRate, Precision, Section


class DPOConfig(Section):
    """Direct preference optimisation of the distilled student."""

    beta: float = Field(
        gt=0, description="implicit reward per nat of log-ratio to the distilled model; lower moves further"
    )
    epochs: Count = Field(description="passes over the preferences")
    learning_rate: LearningRate = Field(description="peak of AdamW's rate")
    warmup_steps: Count = Field(description="optimiser steps of linear warm-up")
    weight_decay: float = Field(ge=0, le=1, description="of AdamW, on matrices only")
    token_budget: Count = Field(description="tokens of an optimiser step, padding included")
    row_tokens: Count = Field(description="longest packed row, tokens")
    frozen_layers: int = Field(ge=0, description="bottom layers that are not trained")
    max_grad_norm: float = Field(gt=0, description="gradients are scaled down to this norm")
    precision: Precision = Field(description="arithmetic of the matrix products")
    checkpoint_seconds: float = Field(ge=0, description="seconds between checkpoints; 0: after every step")
