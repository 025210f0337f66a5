"""Fit a reward model to what annotators said: a question is read once, with its answers as branches."""

from collections.abc import Sequence

import torch

from configs.schema_reward import RewardConfig
from tasks.ml.batching import Group, PackedBatch, plan_epochs
from tasks.ml.models import ScoredModel, freeze_bottom
from tasks.ml.preferences import RewardTargets, pair_accuracy
from tasks.ml.reward_objective import RewardObjective, draw_questions
from tasks.ml.trainer import Watch, train


def train_reward(
    model: ScoredModel,
    groups: Sequence[Group],
    targets: RewardTargets,
    config: RewardConfig,
    seed: int,
    watch: Watch,
) -> float:
    """Train the reward model in place.

    Args:
        model: Trunk and heads.
        groups: Questions with their answers as branches; a branch's index is its answer in `targets`. Each
            holds an answer of which something is said, and all answers that are compared with one of its own.
        targets: What is learnt from.
        config: The section.
        seed: Of the order of batches, and of the questions that each head draws.
        watch: Who follows.

    Returns:
        How far apart two answers must seem for one of them to win, in units of score; 0 if nothing was tied,
        or ties are not counted.
    """
    freeze_bottom(model.language_model, config.frozen_layers)
    plan = plan_epochs([groups] * config.epochs, config.token_budget, seed)
    heads = model.head.out_features
    objective = RewardObjective(config, targets, draw_questions(targets.question, heads, seed))
    answers = len(targets.question)

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        scores = score_branches(model, batch, answers)
        said = targets.within(~scores.isnan().any(1))
        right = pair_accuracy(scores.detach().mean(1), said.preferences)
        points = {"accuracy": right.mean().item()} if len(right) else {}
        return objective(scores, said), points

    model.train()
    learner = torch.nn.ModuleList([model, objective])
    train(learner, plan, loss_of, config, model.language_model.config.pad_token_id, watch)
    model.eval()
    return objective.threshold.item()


def score_branches(model: ScoredModel, batch: PackedBatch, answers: int) -> torch.Tensor:
    """What each head says of each answer, at its last token; NaN for those not in the batch. [M, N]."""
    scores = model.head_scores(model.hidden_states(batch)[batch.end])
    return torch.full((answers, scores.shape[1]), torch.nan).index_put((batch.branch,), scores)
