"""Fit a reward model to preferences: each question is read once, with all its answers as branches."""

from collections.abc import Sequence

import torch

from configs.schema import RewardConfig
from configs.section import Precision
from tasks.ml.batching import Group, PackedBatch, pack, plan_batches, plan_epochs
from tasks.ml.models import ScoredModel, freeze_bottom
from tasks.ml.precision import arithmetic
from tasks.ml.preferences import Preferences
from tasks.ml.reward_loss import bradley_terry
from tasks.ml.trainer import Watch, train


def train_reward(
    model: ScoredModel,
    groups: Sequence[Group],
    preferences: Preferences,
    answers: int,
    config: RewardConfig,
    seed: int,
    watch: Watch,
) -> None:
    """Train the reward model in place.

    Args:
        model: Trunk and head.
        groups: Questions with their answers as branches; a branch's index is its answer in `preferences`.
        preferences: The training pairs; both answers of a pair are in one group.
        answers: Number of answers, M.
        config: The section.
        seed: Of the order of batches.
        watch: Who follows.
    """
    freeze_bottom(model.language_model, config.frozen_layers)
    plan = plan_epochs([groups] * config.epochs, config.token_budget, seed)

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        scores = score_branches(model, batch, answers)
        pairs = preferences.within(~scores.isnan())
        chosen, rejected = scores[pairs.chosen], scores[pairs.rejected]
        accuracy = (chosen > rejected).float().mean().item()
        return bradley_terry(chosen, rejected, pairs.votes), {"accuracy": accuracy}

    model.train()
    train(model, plan, loss_of, config, model.language_model.config.pad_token_id, watch)
    model.eval()


def score_branches(model: ScoredModel, batch: PackedBatch, answers: int) -> torch.Tensor:
    """The reward of each answer, read at its last token; NaN for answers not in the batch. Shape [M]."""
    scores = model.scores(model.hidden_states(batch)[batch.end])
    return torch.full((answers,), torch.nan).index_put((batch.branch,), scores)


@torch.inference_mode()
def score_groups(
    model: ScoredModel, groups: Sequence[Group], answers: int, budget: int, precision: Precision
) -> torch.Tensor:
    """The reward of every answer of all groups. Shape [M]; NaN for answers in no group."""
    scores = torch.full((answers,), torch.nan)
    for part in plan_batches(groups, budget, 0, 0):
        batch = pack(part, model.language_model.config.pad_token_id)
        with arithmetic(precision):
            scores[batch.branch] = model.scores(model.hidden_states(batch)[batch.end])
    return scores
