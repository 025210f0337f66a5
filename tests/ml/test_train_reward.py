"""Learning what annotators prefer from a preference that can be learnt."""

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.models import ScoredModel
from tasks.ml.preferences import Preferences, pair_accuracy
from tasks.ml.train_reward import score_branches, score_groups, train_reward
from tasks.ml.trainer import Watch

GOOD, BAD = 30, 31
QUESTIONS = 12


def groups() -> list[Group]:
    """Each question has a good answer, an even number, and a bad one; what comes before differs."""
    return [
        Group(
            (5, 6, 7 + q), (Branch((20,), (8 + q, GOOD, 1), 2 * q), Branch((20,), (9 + q, BAD, 1), 2 * q + 1))
        )
        for q in range(QUESTIONS)
    ]


def good_wins(questions: range) -> Preferences:
    good = torch.tensor([2 * q for q in questions])
    return Preferences(good, good + 1, torch.ones(len(questions)))


def test_a_preference_is_learnt_and_holds_for_questions_not_seen(make_llama, config) -> None:
    model, points = ScoredModel(make_llama(layers=3)), []
    settings = config.reward.model_copy(update={"epochs": 15, "learning_rate": 0.01, "token_budget": 40})
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    train_reward(model, groups()[:8], good_wins(range(8)), 2 * QUESTIONS, settings, 0, watch)
    assert points[0]["loss"] == pytest.approx(0.693147, abs=1e-5)  # the head starts at 0: ln 2
    scores = score_groups(model, groups(), 2 * QUESTIONS, 100, "fp32")
    assert pair_accuracy(scores, good_wins(range(8))).tolist() == [1.0] * 8
    assert pair_accuracy(scores, good_wins(range(8, 12))).mean() >= 0.75


def test_the_bottom_stays_frozen(make_llama, config) -> None:
    model = ScoredModel(make_llama(layers=3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = config.reward.model_copy(update={"epochs": 1, "frozen_layers": 2})
    train_reward(model, groups(), good_wins(range(QUESTIONS)), 2 * QUESTIONS, settings, 0, Watch())
    after = model.state_dict()
    assert not torch.equal(after["head.weight"], before["head.weight"])
    frozen = [name for name in after if "embed" in name or ".layers.0." in name or ".layers.1." in name]
    assert frozen
    assert all(torch.equal(after[name], before[name]) for name in frozen)


def test_a_score_is_read_at_the_last_token_of_the_answer_alone(make_llama) -> None:
    model = ScoredModel(make_llama())
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    torch.nn.init.constant_(model.head.bias, 0.3)
    group = Group((5, 6), (Branch((7,), (8, 9), 3), Branch((7,), (10,), 0)))
    with torch.no_grad():
        scores = score_branches(model, pack([group], 0), answers=5)
        for index, ids in ((3, [5, 6, 7, 8, 9]), (0, [5, 6, 7, 10])):
            last = model.language_model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
            expected = (
                sum(w * h for w, h in zip(model.head.weight[0].tolist(), last.tolist(), strict=True)) + 0.3
            )
            assert scores[index].item() == pytest.approx(expected, abs=1e-5)
    assert scores.isnan().tolist() == [False, True, True, False, True]


def test_all_groups_are_scored_however_they_are_batched(make_llama) -> None:
    model = ScoredModel(make_llama())
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    once = score_groups(model, groups(), 2 * QUESTIONS + 1, 10_000, "fp32")
    apart = score_groups(model, groups(), 2 * QUESTIONS + 1, 1, "fp32")
    assert once.isnan().nonzero().flatten().tolist() == [2 * QUESTIONS]
    torch.testing.assert_close(once[:-1], apart[:-1], atol=1e-5, rtol=0)


def test_equal_scores_count_as_half_right() -> None:
    pairs = Preferences(torch.tensor([0, 1, 0]), torch.tensor([1, 0, 2]), torch.ones(3))
    assert pair_accuracy(torch.tensor([2.0, 1.0, 2.0]), pairs).tolist() == [1.0, 0.0, 0.5]


def test_only_pairs_with_both_answers_present_are_within() -> None:
    pairs = Preferences(torch.tensor([0, 1, 3]), torch.tensor([1, 2, 0]), torch.tensor([1.0, 2.0, 3.0]))
    within = pairs.within(torch.tensor([True, True, False, True]))
    assert (within.chosen.tolist(), within.rejected.tolist(), within.votes.tolist()) == (
        [0, 3],
        [1, 0],
        [1.0, 3.0],
    )
    assert (len(pairs), len(within)) == (3, 2)
