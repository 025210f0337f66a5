"""What a reward model says of answers that are read as branches of their questions."""

from collections.abc import Callable, Sequence

import torch

from configs.section import Precision
from tasks.ml.batching import Group, pack, plan_batches
from tasks.ml.models import ScoredModel
from tasks.ml.precision import arithmetic


def score_groups(
    model: ScoredModel, groups: Sequence[Group], answers: int, budget: int, precision: Precision
) -> torch.Tensor:
    """The reward of every answer of all groups. Shape [M]; NaN for answers in no group."""
    return _read(model, groups, model.scores, torch.full((answers,), torch.nan), budget, precision)


def score_heads(
    model: ScoredModel, groups: Sequence[Group], answers: int, budget: int, precision: Precision
) -> torch.Tensor:
    """What each head says of every answer of all groups. Shape [M, N]; NaN for answers in no group.

    The mean over heads is the reward. Their standard deviation orders answers by how unsure it is, but is no
    error bar: heads share a trunk that has learnt from all questions, so it is several times too small.
    """
    nothing = torch.full((answers, model.head.out_features), torch.nan)
    return _read(model, groups, model.head_scores, nothing, budget, precision)


@torch.inference_mode()
def _read(
    model: ScoredModel,
    groups: Sequence[Group],
    read: Callable[[torch.Tensor], torch.Tensor],
    scores: torch.Tensor,
    budget: int,
    precision: Precision,
) -> torch.Tensor:
    for part in plan_batches(groups, budget, 0, 0):
        batch = pack(part, model.language_model.config.pad_token_id)
        with arithmetic(precision):
            scores[batch.branch] = read(model.hidden_states(batch)[batch.end])
    return scores
