"""The shape of the section `ppo`."""

from typing import Literal

from pydantic import Field, model_validator

from configs.section import Count, LearningRate, Precision, Section, Share


class GuardConfig(Section):
    """When a PPO run is stopped because it goes wrong; limits are relative to its first rollout."""

    patience: Count = Field(description="rollouts in a row beyond a limit before the alarm is raised")
    entropy_floor: float = Field(
        ge=0, lt=1, description="alarm when entropy falls below this share of the first rollout's"
    )
    length_factor: float = Field(
        gt=1, description="alarm when the mean length is this many times longer or shorter than at first"
    )
    repetition_rise: Share = Field(
        description="alarm when the share of repeated 3-grams in answers rises by more"
    )
    gold_drop: float = Field(
        ge=0,
        description="alarm when gold falls by more standard errors below its best while the reward rises "
        "above what it was then; only where gold is known",
    )


class PPOConfig(Section):
    """Proximal policy optimisation against the reward model."""

    algorithm: Literal["ppo", "rloo", "grpo"] = Field(
        description="ppo: this project's engine; rloo, grpo: TRL's trainers with the same reward model"
    )
    reward_gate: Literal["stop", "warn"] = Field(
        description="stop: refuse to start from a reward model whose card does not say go; warn: say so and "
        "go on"
    )
    updates: Count = Field(description="rounds of rollout and optimisation")
    questions_per_update: Count = Field(description="questions answered in a rollout")
    samples_per_question: Count = Field(description="answers sampled for each question")
    epochs: Count = Field(description="passes over a rollout")
    token_budget: Count = Field(description="tokens of an optimiser step, padding included")
    pass_tokens: Count = Field(
        description="tokens of one forward and backward pass, padding included; a step adds up its passes"
    )
    row_tokens: Count = Field(description="longest packed row, tokens")
    learning_rate: LearningRate = Field(description="AdamW's rate")
    adapter_rank: int = Field(ge=0, le=512, description="rank of the LoRA adapter; 0: full fine-tuning")
    adapter_alpha: float = Field(gt=0, description="LoRA's scale is alpha over rank")
    value_trunk: Literal["shared", "adapter"] = Field(
        description="shared: the value head reads the policy's states; adapter: those of its own LoRA adapter"
    )
    kl_estimator: Literal["k1", "k2", "k3"] = Field(
        description="of the KL in the reward: log-ratio, half its square, or the low-variance k3"
    )
    kl_coefficient: float = Field(
        ge=0, description="reward lost per nat of KL to the distilled model, per token"
    )
    kl_target: float | None = Field(
        gt=0, description="nats per response that the coefficient is steered to; null: it stays fixed"
    )
    kl_horizon: Count = Field(description="episodes over which the steered coefficient may double or so")
    kl_limit: float = Field(gt=0, description="mean KL per response at which PPO stops, nats")
    target_kl: float | None = Field(
        gt=0,
        description="an update's epochs end early beyond this KL to its rollout, nats per token; null: never",
    )
    clip_range: float = Field(gt=0, lt=1, description="of the probability ratio")
    value_clip_range: float = Field(gt=0, description="of the value estimate")
    value_coefficient: float = Field(ge=0, description="weight of the value loss")
    entropy_coefficient: float = Field(
        ge=0, description="weight of the entropy that is added to the objective"
    )
    discount: float = Field(gt=0, le=1, description="of later rewards, per token")
    gae_lambda: float = Field(ge=0, le=1, description="of generalised advantage estimation")
    whiten_rewards: bool = Field(description="scale rewards to variance 1 before advantages are computed")
    whiten_advantages: bool = Field(description="scale advantages to mean 0 and variance 1")
    temperature: float = Field(gt=0, le=2, description="of the sampled answers")
    top_k: int = Field(ge=0, description="sample from so many of the most probable tokens; 0: all")
    top_p: float = Field(gt=0, le=1, description="sample from the most probable tokens that hold this mass")
    max_new_tokens: Count = Field(description="longest answer, tokens")
    missing_stop_penalty: float = Field(ge=0, description="reward lost by an answer that does not stop")
    frozen_layers: int = Field(ge=0, description="bottom layers that are not trained")
    max_grad_norm: float = Field(gt=0, description="gradients are scaled down to this norm")
    guard: GuardConfig
    precision: Precision = Field(description="arithmetic of the matrix products")
    checkpoint_seconds: float = Field(ge=0, description="seconds between checkpoints; 0: after every update")

    @model_validator(mode="after")
    def _value_adapter_needs_adapter(self) -> "PPOConfig":
        if self.value_trunk == "adapter" and not self.adapter_rank:
            raise ValueError(
                "`ppo.value_trunk` adapter needs `ppo.adapter_rank` above 0: "
                "with full fine-tuning the value's gradient would train the policy's weights"
            )
        return self

    @model_validator(mode="after")
    def _trl_compares_samples(self) -> "PPOConfig":
        if self.algorithm != "ppo" and self.samples_per_question < 2:
            raise ValueError(
                f"`ppo.algorithm` {self.algorithm} compares the answers to one question: "
                f"`ppo.samples_per_question` must be at least 2, got {self.samples_per_question}"
            )
        return self
