"""Learning what annotators prefer from a preference that can be learnt."""

import math
from typing import Any

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.models import ScoredModel
from tasks.ml.preferences import (
    FailMarks,
    Picks,
    Preferences,
    RewardTargets,
    Ties,
    groups_with,
    pair_accuracy,
)
from tasks.ml.reward_scores import score_groups, score_heads
from tasks.ml.train_reward import score_branches, train_reward
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


def targets(questions: range, **others: Any) -> RewardTargets:
    """That good wins, and what else was said."""
    return RewardTargets(torch.arange(2 * QUESTIONS) // 2, good_wins(questions), **others)


def test_a_preference_is_learnt_and_holds_for_questions_not_seen(make_llama, config) -> None:
    model, points = ScoredModel(make_llama(layers=3)), []
    settings = config.reward.model_copy(update={"epochs": 15, "learning_rate": 0.01, "token_budget": 40})
    watch = Watch(log=lambda metrics, step: points.append(metrics))
    threshold = train_reward(model, groups()[:8], targets(range(8)), settings, 0, watch)
    assert threshold == 0  # nothing was tied
    assert points[0]["loss"] == pytest.approx(0.693147, abs=1e-5)  # the head starts at 0: ln 2
    scores = score_groups(model, groups(), 2 * QUESTIONS, 100, "fp32")
    assert pair_accuracy(scores, good_wins(range(8))).tolist() == [1.0] * 8
    assert pair_accuracy(scores, good_wins(range(8, 12))).mean() >= 0.75


def test_the_bottom_stays_frozen(make_llama, config) -> None:
    model = ScoredModel(make_llama(layers=3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = config.reward.model_copy(update={"epochs": 1, "frozen_layers": 2})
    train_reward(model, groups(), targets(range(QUESTIONS)), settings, 0, Watch())
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
        scores = score_branches(model, pack([group], 0), answers=5).squeeze(1)
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


@pytest.mark.parametrize("loss", ["rao_kupper", "plackett_luce"])
def test_answers_called_equal_come_to_score_nearly_the_same(make_llama, config, loss) -> None:
    # Of the first six questions the two answers tie, of the others good wins: only the words before differ.
    settings = config.reward.model_copy(
        update={"epochs": 30, "learning_rate": 0.01, "token_budget": 60, "loss": loss}
    )
    even, decided = torch.arange(6) * 2, torch.arange(6, QUESTIONS) * 2
    pairs = torch.stack([torch.cat([even, decided]), torch.cat([even, decided]) + 1], 1)
    said = RewardTargets(
        torch.arange(2 * QUESTIONS) // 2,
        good_wins(range(6, QUESTIONS)),
        ties=Ties(even, even + 1, torch.ones(6)),
        picks=Picks(pairs, torch.tensor([2] * 6 + [1] * 6), torch.ones(QUESTIONS))
        if loss == "plackett_luce"
        else RewardTargets(even, good_wins(range(0))).picks,
    )
    model = ScoredModel(make_llama(layers=3))
    threshold = train_reward(model, groups(), said, settings, 0, Watch())
    scores = score_groups(model, groups(), 2 * QUESTIONS, 100, "fp32")
    gaps = scores[::2] - scores[1::2]
    assert gaps[:6].abs().mean() < 0.5 * gaps[6:].mean()
    assert gaps[6:].min() > 0
    # Half of the pairs tie, so that equals must do so more often than a coin says, 1 - 2 / (1 + theta).
    assert threshold > math.log(3)


def test_f_comes_to_lie_below_0_and_all_else_above(make_llama, config) -> None:
    settings = config.reward.model_copy(
        update={"epochs": 20, "learning_rate": 0.01, "token_budget": 60, "floor_weight": 1.0}
    )
    marks = FailMarks(
        torch.arange(2 * QUESTIONS), torch.arange(2 * QUESTIONS) % 2 == 1, torch.ones(2 * QUESTIONS)
    )
    model = ScoredModel(make_llama(layers=3))
    train_reward(model, groups(), targets(range(QUESTIONS), fails=marks), settings, 0, Watch())
    scores = score_groups(model, groups(), 2 * QUESTIONS, 100, "fp32")
    assert scores[::2].min() > 0 > scores[1::2].max()


def test_heads_learn_each_its_own_questions_and_their_mean_is_the_score(make_llama, config) -> None:
    settings = config.reward.model_copy(update={"epochs": 6, "learning_rate": 0.01, "token_budget": 60})
    model = ScoredModel(make_llama(layers=3), heads=4)
    train_reward(model, groups(), targets(range(QUESTIONS)), settings, 0, Watch())
    by_head = score_heads(model, groups(), 2 * QUESTIONS, 100, "fp32")
    assert by_head.shape == (2 * QUESTIONS, 4)
    assert by_head.std(1).min() > 0
    mean = [sum(row) / 4 for row in by_head.tolist()]
    assert score_groups(model, groups(), 2 * QUESTIONS, 100, "fp32").tolist() == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("loss", ["bradley_terry", "rao_kupper", "plackett_luce"])
def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(
    make_llama, config, make_checkpoints, interrupted, loss
) -> None:
    settings = config.reward.model_copy(
        update={"epochs": 3, "learning_rate": 0.01, "token_budget": 40, "checkpoint_seconds": 0, "loss": loss}
    )
    pairs = torch.arange(2 * QUESTIONS).view(QUESTIONS, 2)
    tied = Picks(pairs, torch.tensor([2] * 4 + [1] * 8), torch.ones(QUESTIONS))
    even = torch.arange(4) * 2

    def run(watch: Watch) -> tuple[list[float], float]:
        said = targets(
            range(4, QUESTIONS),
            ties=Ties(even, even + 1, torch.ones(4)),
            **({"picks": tied} if loss == "plackett_luce" else {}),
        )
        model = ScoredModel(make_llama(layers=3), heads=2)
        threshold = train_reward(model, groups(), said, settings, 0, watch)
        return score_groups(model, groups(), 2 * QUESTIONS, 100, "fp32").tolist(), threshold

    whole = run(Watch())
    with pytest.raises(interrupted):
        run(Watch(checkpoints=make_checkpoints(die_after=5)))
    resumed = run(Watch(checkpoints=make_checkpoints()))
    assert resumed[0] == pytest.approx(whole[0], abs=1e-6)
    assert resumed[1] == pytest.approx(whole[1], abs=1e-6)


def test_groups_of_which_nothing_is_said_are_left_out() -> None:
    kept = groups_with(groups(), torch.tensor([3, 8, 3]))
    assert [group.branches[0].index for group in kept] == [2, 8]


def test_what_is_said_of_absent_answers_is_left_out() -> None:
    said = RewardTargets(
        torch.tensor([0, 0, 0, 1]),
        Preferences(torch.tensor([0, 1]), torch.tensor([1, 3]), torch.ones(2), torch.tensor([2.0, 1.0])),
        ties=Ties(torch.tensor([0, 2]), torch.tensor([2, 1]), torch.tensor([1.0, 2.0])),
        picks=Picks(
            torch.tensor([[0, 1, -1], [0, 1, 2], [1, 0, -1]]), torch.tensor([1, 1, 2]), torch.ones(3)
        ),
        fails=FailMarks(torch.tensor([2, 0]), torch.tensor([True, False]), torch.ones(2)),
    )
    within = said.within(torch.tensor([True, True, False, False]))
    assert within.preferences.marks is not None
    assert (within.preferences.chosen.tolist(), within.preferences.marks.tolist()) == ([0], [2.0])
    assert len(within.ties) == 0
    assert (within.picks.answers.tolist(), within.picks.sizes.tolist()) == ([[0, 1, -1], [1, 0, -1]], [1, 2])
    assert (within.fails.answer.tolist(), within.fails.failed.tolist()) == ([0], [False])


def test_pairs_are_not_learnt_beside_the_rankings_that_they_come_from() -> None:
    pairs = targets(range(2), ties=Ties(torch.tensor([6]), torch.tensor([7]), torch.ones(1)))
    assert sorted(pairs.answers.tolist()) == [0, 1, 2, 3, 6, 7]
    picks = Picks(torch.tensor([[4, 5, -1]]), torch.tensor([1]), torch.ones(1))
    assert sorted(targets(range(2), picks=picks).answers.tolist()) == [4, 5]
