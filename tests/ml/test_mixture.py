"""Shares of task families, the draws that realise them, and general instructions on top."""

from collections import Counter

import pytest

from configs.schema_mixture import MixtureConfig
from tasks.ml.batching import group_examples
from tasks.ml.mixture import apportion, draw_examples, draw_replay, task_shares, training_groups
from tasks.ml.prompts import Example

PLAIN = MixtureConfig(weights={}, temperature=1, replay_share=0)


def mixture(**changes) -> MixtureConfig:
    return PLAIN.model_copy(update=changes)


def test_shares_by_hand() -> None:
    counts = {"a": 100, "b": 25}
    assert task_shares(counts, {}, 1) == pytest.approx({"a": 0.8, "b": 0.2})
    # Square roots: 10 and 5.
    assert task_shares(counts, {}, 2) == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    # Weights stand outside the root: 10 and 4 * 5.
    assert task_shares(counts, {"b": 4}, 2) == pytest.approx({"a": 1 / 3, "b": 2 / 3})
    assert task_shares(counts, {}, 1e9) == pytest.approx({"a": 0.5, "b": 0.5})
    assert task_shares(counts, {"a": 0}, 1) == {"a": 0, "b": 1}
    with pytest.raises(ValueError, match="weight 0"):
        task_shares(counts, {"a": 0, "b": 0}, 1)


def test_whole_numbers_keep_the_sum_and_stay_within_one() -> None:
    assert apportion({"a": 0.5, "b": 0.3, "c": 0.2}, 7) == {"a": 4, "b": 2, "c": 1}  # 3.5, 2.1, 1.4
    assert apportion({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 3) == {"a": 1, "b": 1, "c": 1}


def test_by_default_every_epoch_has_each_example_once_as_they_came(make_row, config) -> None:
    contexts = ["s1", "s1", "s2", "", "s2", ""]
    rows = [make_row(id=str(i), context=c, task="a" if i % 2 else "b") for i, c in enumerate(contexts)]
    rows = [row.model_copy(update={"task": "q"}) if not row.context else row for row in rows]
    examples = [Example((1, 2, 10 + i, 20 + i), (30 + i, 3)) for i in range(6)]
    before = group_examples(examples, contexts, config.distill.row_tokens)
    for epoch in range(3):
        assert training_groups(examples, rows, config.distill, 5, epoch) == before


@pytest.mark.parametrize("sizes", [(7, 3), (1, 1), (13, 29), (64, 1)])
def test_defaults_are_exact_whatever_the_sizes(sizes: tuple[int, int]) -> None:
    tasks = ["a"] * sizes[0] + ["b"] * sizes[1]
    assert draw_examples(tasks, PLAIN, 3, 4) == list(range(len(tasks)))


def test_each_example_comes_floor_or_ceil_times_in_an_epoch_and_over_all() -> None:
    tasks = ["a", "b"] * 4 + ["a"] * 4  # 8 of a, 4 of b; equal shares: 6 draws each
    settings = mixture(temperature=1e9)
    total: Counter[int] = Counter()
    for epoch in range(4):
        drawn = draw_examples(tasks, settings, 0, epoch)
        assert drawn == sorted(drawn)
        assert Counter(tasks[i] for i in drawn) == {"a": 6, "b": 6}
        times = Counter(drawn)
        assert {times[i] for i, task in enumerate(tasks) if task == "a"} == {0, 1}
        assert {times[i] for i, task in enumerate(tasks) if task == "b"} == {1, 2}
        total += times
    assert {total[i] for i, task in enumerate(tasks) if task == "a"} == {3}  # 4 * 6 / 8
    assert {total[i] for i, task in enumerate(tasks) if task == "b"} == {6}  # 4 * 6 / 4


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    tasks, settings = ["a"] * 30 + ["b"] * 10, mixture(weights={"b": 3})
    first = draw_examples(tasks, settings, 1, 0)
    assert first == draw_examples(tasks, settings, 1, 0)
    assert first != draw_examples(tasks, settings, 1, 1)
    assert first != draw_examples(tasks, settings, 2, 0)


def test_a_family_of_weight_0_is_left_out() -> None:
    assert Counter(draw_examples(["a", "b", "b"], mixture(weights={"b": 0}), 0, 0)) == {0: 3}


def test_replay_comes_as_near_as_whole_answers_can() -> None:
    assert draw_replay([4, 4, 4], 0, 0, 0) == []
    for wanted, answers in ((5.9, 1), (6.1, 2), (12, 3), (22.1, 6)):
        drawn = draw_replay([4, 4, 4], wanted, 0, 0)
        assert len(drawn) == answers
        assert max(Counter(drawn).values()) - min(Counter(drawn)[i] for i in range(3)) <= 1
    # Two of six an epoch: after three epochs each was seen once.
    seen = [index for epoch in range(3) for index in draw_replay([5] * 6, 10, 0, epoch)]
    assert sorted(seen) == list(range(6))


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_share_of_answer_tokens_is_the_one_asked_for(make_row, config, share: float) -> None:
    tasks = ["a"] * 12 + ["general"] * 9
    rows = [make_row(id=str(i), task=task, context="") for i, task in enumerate(tasks)]
    examples = [Example((1, 2, i), (3,) * (4 if task == "a" else 6)) for i, task in enumerate(tasks)]
    settings = config.distill.model_copy(update={"mixture": mixture(replay_share=share)})
    tokens = {"a": 0, "general": 0}
    kinds = []
    for group in training_groups(examples, rows, settings, 0, 0):
        kinds.append({tasks[branch.index] for branch in group.branches})
        for branch in group.branches:
            tokens[tasks[branch.index]] += len(branch.response)
            assert (*group.prefix, *branch.tail) == examples[branch.index].prompt
    assert tokens["a"] == 48  # the use case loses nothing
    assert tokens["general"] == {0.2: 12, 0.5: 48}[share]
    assert sorted(map(sorted, kinds)) == [["a"], ["general"]]


def test_general_rows_are_not_drawn_without_a_share(make_row, config) -> None:
    rows = [make_row(task="a"), make_row(task="general")]
    groups = training_groups([Example((1, 2), (3,)), Example((1, 4), (5,))], rows, config.distill, 0, 0)
    assert [branch.index for group in groups for branch in group.branches] == [0]
