"""What every stage that learns from examples by gradient steps is told."""

from pydantic import Field

from configs.section import Count, LearningRate, Precision, Section


class LearningConfig(Section):
    """Passes, steps and arithmetic of a training."""

    epochs: Count = Field(description="passes over what is learnt from")
    learning_rate: LearningRate = Field(description="peak of AdamW's rate")
    warmup_steps: Count = Field(description="optimiser steps of linear warm-up")
    weight_decay: float = Field(ge=0, le=1, description="of AdamW, on matrices only")
    token_budget: Count = Field(description="tokens of an optimiser step, padding included")
    row_tokens: Count = Field(
        description="longest packed row, tokens; the answers to one question stay together however long"
    )
    max_grad_norm: float = Field(gt=0, description="gradients are scaled down to this norm")
    precision: Precision = Field(description="arithmetic of the matrix products; weights stay fp32")
    checkpoint_seconds: float = Field(ge=0, description="seconds between checkpoints; 0: after every step")
