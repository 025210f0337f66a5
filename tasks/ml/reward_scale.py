"""The scale of a reward model's scores: mean, deviation, the floor of F, and how far heads differ."""

import torch

from tasks.ml.models import ScoredModel
from tasks.ml.preferences import FailMarks

_LEAST_DEVIATION = 1e-3  # of scores that hardly differ; what divides by less amplifies rounding


def level_heads(model: ScoredModel, by_head: torch.Tensor) -> torch.Tensor:
    """Shift each head in place so that all have the same mean; gives the scores after that. Shape [M, N].

    Comparisons leave the height of a head open, so heads at different heights would look unsure of answers
    on whose order they agree. The mean over heads stays as it is. Marks of F fix the height: then heads are
    left alone.

    Args:
        model: Trunk and heads.
        by_head: What each head says of each answer. Shape [M, N].
    """
    shifts = by_head.mean() - by_head.mean(0)
    with torch.no_grad():
        model.head.bias.add_(shifts)
    return by_head + shifts


def scale_figures(by_head: torch.Tensor) -> dict[str, float]:
    """What PPO divides scores by, and how unsure they are, in units of score.

    PPO takes (score - `score_mean`) / `score_deviation`: mean 0 and deviation 1 on these answers. The floor
    of F, a score of 0, lies at -`score_mean` / `score_deviation` there: what is below it stays below it.

    Args:
        by_head: What each head says of answers that were shown. Shape [M, N].
    """
    scores = by_head.mean(1)
    figures = {
        "score_mean": float(scores.mean()),
        "score_deviation": max(float(scores.std()), _LEAST_DEVIATION),
    }
    if by_head.shape[1] > 1:
        figures["uncertainty"] = float(by_head.std(1).mean())
    return figures


def floor_figures(scores: torch.Tensor, fails: FailMarks) -> dict[str, float]:
    """How many marks of F, and of answers that are none, are on their side of the floor.

    Args:
        scores: Shape [M].
        fails: Marks on questions that were not learnt.
    """
    is_right = ((scores[fails.answer] < 0) == fails.failed).float()
    figures = {}
    for name, chosen in (("fails_below_floor", fails.failed), ("others_above_floor", ~fails.failed)):
        votes = fails.votes[chosen]
        if len(votes):
            figures[name] = float((is_right[chosen] * votes).sum() / votes.sum())
    return figures
