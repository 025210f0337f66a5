"""Packed batches: every branch must get exactly what it would get alone."""

import random

import pytest
import torch

from tasks.ml.batching import (
    Branch,
    Group,
    PackedBatch,
    common_prefix,
    draw_whole_groups,
    group_examples,
    pack,
    plan_batches,
)
from tasks.ml.models import hidden_states, response_log_probs
from tasks.ml.prompts import Example

PAD = 0
GROUPS = [
    Group((5, 6, 7), (Branch((8, 9), (10, 11, 1), 0), Branch((12,), (13,), 1), Branch((8,), (10, 11), 4))),
    Group((), (Branch((20, 21, 22), (23, 1), 2), Branch((30,), (31, 32, 33), 5))),
    Group((14, 15, 16, 17, 18), (Branch((19,), (1,), 3),)),
]


def test_a_branch_gets_the_hidden_states_and_log_probs_that_it_gets_alone(make_llama) -> None:
    model = make_llama(layers=3)
    batch = pack(GROUPS, PAD)
    with torch.no_grad():
        packed = hidden_states(model, batch)
        log_probs = response_log_probs(model, packed, batch)
        for group in GROUPS:
            for branch in group.branches:
                check_branch(model, group, branch, batch, packed, log_probs)


def check_branch(
    model, group: Group, branch: Branch, batch: PackedBatch, packed: torch.Tensor, log_probs: torch.Tensor
) -> None:
    prompt = [*group.prefix, *branch.tail]
    alone = torch.tensor([[*prompt, *branch.response]])
    hidden = model.model(input_ids=alone).last_hidden_state[0]
    logits = model(input_ids=alone).logits[0].log_softmax(-1)
    mine = batch.example == branch.index
    start, stop = len(prompt) - 1, len(prompt) + len(branch.response) - 1
    assert int(mine.sum()) == len(branch.response)
    torch.testing.assert_close(packed[batch.source[mine]], hidden[start:stop], atol=1e-5, rtol=0)
    torch.testing.assert_close(log_probs[mine], logits[start:stop], atol=1e-5, rtol=0)
    [end] = batch.end[batch.branch == branch.index]
    torch.testing.assert_close(packed[end], hidden[-1], atol=1e-5, rtol=0)


def test_the_indices_of_a_packed_batch() -> None:
    batch = pack(
        [
            Group((5, 6), (Branch((7,), (8, 9), 3), Branch((4,), (2,), 0))),
            Group((5,), (Branch((6,), (1,), 2),)),
        ],
        PAD,
    )
    assert batch.input_ids.tolist() == [[5, 6, 7, 8, 9, 4, 2], [5, 6, 1, 0, 0, 0, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 2, 3], [0, 1, 2, 0, 0, 0, 0]]
    assert batch.source.tolist() == [2, 3, 5, 7 + 1]
    assert batch.target.tolist() == [8, 9, 2, 1]
    assert batch.example.tolist() == [3, 3, 0, 2]
    assert batch.step.tolist() == [0, 1, 0, 0]
    assert batch.end.tolist() == [4, 6, 7 + 2]
    assert batch.branch.tolist() == [3, 0, 2]
    assert batch.tokens == 10
    assert batch.mask.shape == (2, 1, 7, 7)


def test_the_mask_shows_a_branch_its_prefix_and_its_own_past() -> None:
    [[mask]] = pack([Group((5, 6), (Branch((7,), (8,), 0), Branch((4,), (2,), 1)))], PAD).mask
    shown = ["".join("x" if seen else "." for seen in row) for row in mask.tolist()]
    assert shown == ["x.....", "xx....", "xxx...", "xxxx..", "xx..x.", "xx..xx"]


def test_branches_without_a_response_predict_nothing_but_have_an_end() -> None:
    batch = pack([Group((5,), (Branch((6, 7), (), 0),))], PAD)
    assert batch.source.tolist() == []
    assert batch.end.tolist() == [2]


@pytest.mark.parametrize(
    ("sequences", "length"),
    [
        ([[1, 2, 3], [1, 2, 4]], 2),
        ([[1, 2], [1, 2, 3]], 1),
        ([[1, 2], [1, 2]], 1),
        ([[7], [1, 2]], 0),
        ([[3, 4, 5]], 2),
        ([[1, 2, 3, 4], [1, 9, 3, 4]], 1),
    ],
)
def test_a_common_prefix_leaves_a_token_of_each(sequences: list[list[int]], length: int) -> None:
    assert common_prefix(sequences) == length


def test_equal_keys_share_a_group_and_long_groups_are_cut() -> None:
    examples = [
        Example((1, 2, 3, 4), (5, 6)),
        Example((9,), (8,)),
        Example((1, 2, 3, 7), (5,)),
        Example((1, 2, 3, 8), (5,)),
    ]
    whole = group_examples(examples, ["a", "b", "a", "a"], longest=100)
    assert [group.prefix for group in whole] == [(1, 2, 3), ()]
    assert [[branch.index for branch in group.branches] for group in whole] == [[0, 2, 3], [1]]
    # Prefix 3, then branches of 3, 2 and 2 tokens: 8 fit the first two.
    cut = group_examples(examples, ["a", "b", "a", "a"], longest=8)
    assert [[branch.index for branch in group.branches] for group in cut] == [[0, 2], [3], [1]]
    assert {group.prefix for group in cut[:2]} == {(1, 2, 3)}


def test_an_example_longer_than_a_row_still_gets_one() -> None:
    [group] = group_examples([Example((1, 2, 3, 4), (5, 6))], ["a"], longest=2)
    assert len(group) == 6


def test_what_belongs_together_is_never_cut_apart() -> None:
    # Answers to one question that lay in two groups could not be compared.
    examples = [Example((1, 2, 3 + n // 3), (9,) * 4) for n in range(9)]
    units = [str(n // 3) for n in range(9)]
    groups = group_examples(examples, ["key"] * 9, 22, units=units)
    # Two of prefix, then 5 a branch: without units 4 branches would fit; three units of 15 each do not pair.
    assert [[branch.index for branch in group.branches] for group in groups] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
    ]
    assert [len(g.branches) for g in group_examples(examples, ["key"] * 9, 32, units=units)] == [6, 3]
    assert [len(g.branches) for g in group_examples(examples, ["key"] * 9, 1, units=units)] == [3, 3, 3]
    assert [len(g.branches) for g in group_examples(examples, ["key"] * 9, 22)] == [4, 4, 1]


def many_groups() -> list[Group]:
    return [
        Group((1,) * (number % 37), (Branch((2,), (3,) * (number % 11), number),)) for number in range(300)
    ]


def test_a_plan_holds_every_group_once_within_the_budget() -> None:
    groups = many_groups()
    plan = plan_batches(groups, 200, seed=3, epoch=1)
    drawn = [group.branches[0].index for batch in plan for group in batch]
    assert sorted(drawn) == list(range(300))
    assert drawn != list(range(300))
    assert all(len(batch) * max(map(len, batch)) <= 200 for batch in plan)
    # Groups of like length meet, so that the budget is spent on tokens and not on padding.
    assert sum(map(len, groups)) / sum(len(batch) * max(map(len, batch)) for batch in plan) > 0.85


def test_a_group_beyond_the_budget_is_alone_in_its_batch() -> None:
    groups = [Group((1,) * size, (Branch((2,), (), size),)) for size in (50, 3, 60)]
    plan = plan_batches(groups, 20, seed=0, epoch=0)
    assert sorted(len(batch) for batch in plan) == [1, 1, 1]


def test_a_plan_depends_on_seed_and_epoch_and_nothing_else() -> None:
    plan = plan_batches(many_groups(), 200, seed=3, epoch=1)
    assert plan_batches(many_groups(), 200, seed=3, epoch=1) == plan
    assert plan_batches(many_groups(), 200, seed=4, epoch=1) != plan
    assert plan_batches(many_groups(), 200, seed=3, epoch=2) != plan


def test_members_are_drawn_by_whole_keys_and_only_the_last_is_cut() -> None:
    keys = [f"sheet {number % 5}" for number in range(20)]
    drawn = draw_whole_groups(keys, 10, random.Random(1))
    counts = [[keys[index] for index in drawn].count(f"sheet {number}") for number in range(5)]
    assert sorted(counts) == [0, 0, 2, 4, 4]
    assert len(set(drawn)) == 10
    assert draw_whole_groups(keys, 10, random.Random(1)) == drawn
    assert sorted(draw_whole_groups(keys, 99, random.Random(1))) == list(range(20))


def test_members_without_a_key_are_drawn_one_by_one() -> None:
    drawn = draw_whole_groups([""] * 50, 5, random.Random(1))
    assert len(set(drawn)) == 5
    assert drawn != list(range(5))
