"""The scale of scores by hand."""

import math

import pytest
import torch

from tasks.ml.models import ScoredModel
from tasks.ml.preferences import FailMarks
from tasks.ml.reward_scale import floor_figures, level_heads, scale_figures

BY_HEAD = torch.tensor([[1.0, 5.0], [2.0, 4.0], [3.0, 9.0]])  # means 3, 3, 6


def test_mean_deviation_and_how_far_heads_differ() -> None:
    figures = scale_figures(BY_HEAD)
    assert figures["score_mean"] == pytest.approx(4)
    assert figures["score_deviation"] == pytest.approx(math.sqrt(3))
    # Of two numbers d apart the deviation is d / sqrt 2; they are 4, 2 and 6 apart.
    assert figures["uncertainty"] == pytest.approx(4 / math.sqrt(2))
    assert "uncertainty" not in scale_figures(BY_HEAD[:, :1])


def test_scores_that_are_all_the_same_can_be_divided_by() -> None:
    assert scale_figures(torch.ones(3, 1))["score_deviation"] == 1e-3


def test_the_floor_survives_the_scale() -> None:
    figures = scale_figures(BY_HEAD)
    scores = torch.tensor([-0.1, 0.0, 0.1])
    scaled = (scores - figures["score_mean"]) / figures["score_deviation"]
    floor = -figures["score_mean"] / figures["score_deviation"]
    assert (scaled < floor).tolist() == [True, False, False]
    assert ((BY_HEAD.mean(1) - figures["score_mean"]) / figures["score_deviation"]).std() == pytest.approx(1)


def test_heads_at_different_heights_are_levelled_and_the_score_stays(make_llama) -> None:
    # Both heads order the answers alike; only a height that comparisons leave open was between them.
    by_head = torch.tensor([[1.0, 11.0], [2.0, 12.0], [3.0, 13.0]])
    model = ScoredModel(make_llama(), heads=2)
    levelled = level_heads(model, by_head)
    assert levelled.tolist() == [[6.0, 6.0], [7.0, 7.0], [8.0, 8.0]]
    assert model.head.bias.tolist() == [5.0, -5.0]
    assert levelled.mean(1).tolist() == by_head.mean(1).tolist()


def test_marks_on_their_side_of_the_floor_are_counted_by_votes() -> None:
    failed = torch.tensor([True, True, False, False])
    fails = FailMarks(torch.tensor([0, 1, 2, 2]), failed, torch.tensor([3.0, 1.0, 1.0, 1.0]))
    figures = floor_figures(torch.tensor([-0.5, 0.2, 0.7]), fails)
    assert figures == pytest.approx({"fails_below_floor": 0.75, "others_above_floor": 1.0})
    nobody = FailMarks(torch.tensor([0]), torch.tensor([False]), torch.ones(1))
    assert floor_figures(torch.tensor([-0.5]), nobody) == {"others_above_floor": 0.0}
