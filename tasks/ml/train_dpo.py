"""Direct preference optimisation: the policy is its own reward model, measured against where it began.

Rafailov et al. 2023, equation 7, with the implicit reward r(y) = beta (log pi(y|x) - log pi_ref(y|x)):

    loss = -log sigmoid(r(chosen) - r(rejected))

which is the Bradley-Terry loss on implicit rewards. Each question is read once, with its answers as branches.
"""

from collections.abc import Sequence
from typing import Any

import torch

from configs.schema_dpo import DPOConfig
from tasks.ml.batching import Group, PackedBatch, pack, plan_batches, plan_epochs
from tasks.ml.models import freeze_bottom, hidden_states
from tasks.ml.precision import arithmetic
from tasks.ml.preferences import Preferences, pair_accuracy
from tasks.ml.reward_loss import bradley_terry
from tasks.ml.token_head import token_log_probs
from tasks.ml.trainer import Watch, train


def train_dpo(
    model: Any,
    reference: torch.Tensor,
    groups: Sequence[Group],
    preferences: Preferences,
    config: DPOConfig,
    seed: int,
    watch: Watch,
) -> None:
    """Train the policy in place.

    Args:
        model: A causal language model.
        reference: Log-probability of each answer before training, in nats. Shape [M].
        groups: Questions with their answers as branches; a branch's index is its answer in `preferences`.
        preferences: The training pairs; every group holds at least one, both answers of it.
        config: The section.
        seed: Of the order of batches.
        watch: Who follows.
    """
    freeze_bottom(model, config.frozen_layers)

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        rewards = config.beta * (answer_log_probs(model, batch, len(reference)) - reference)
        pairs = preferences.within(~rewards.isnan())
        loss = bradley_terry(rewards[pairs.chosen], rewards[pairs.rejected], pairs.votes)
        return loss, reward_figures(rewards.detach(), pairs)

    model.train()
    plan = plan_epochs([groups] * config.epochs, config.token_budget, seed)
    train(model, plan, loss_of, config, model.config.pad_token_id, watch)
    model.eval()


def answer_log_probs(model: Any, batch: PackedBatch, answers: int) -> torch.Tensor:
    """Log-probability of each answer, summed over its tokens; NaN for answers not in the batch. Shape [M]."""
    states = hidden_states(model, batch)[batch.source]
    per_token, _ = token_log_probs(states, model.lm_head.weight, batch.target)
    sums = torch.zeros(answers).index_add(0, batch.example, per_token)
    return torch.full((answers,), torch.nan).index_put((batch.branch,), sums[batch.branch])


@torch.no_grad()
def all_log_probs(model: Any, groups: Sequence[Group], answers: int, config: DPOConfig) -> torch.Tensor:
    """Log-probability of every answer of all groups, in nats; NaN for answers in no group. Shape [M]."""
    found = torch.full((answers,), torch.nan)
    for part in plan_batches(groups, config.token_budget, 0, 0):
        batch = pack(part, model.config.pad_token_id)
        with arithmetic(config.precision):
            found[batch.branch] = answer_log_probs(model, batch, answers)[batch.branch]
    return found


def reward_figures(rewards: torch.Tensor, pairs: Preferences) -> dict[str, float]:
    """Means over pairs of the implicit rewards, of their margin, and of whether it is above 0."""
    chosen, rejected = rewards[pairs.chosen], rewards[pairs.rejected]
    return {
        "accuracy": pair_accuracy(rewards, pairs).mean().item(),
        "margin": (chosen - rejected).mean().item(),
        "chosen_reward": chosen.mean().item(),
        "rejected_reward": rejected.mean().item(),
    }
