"""Batches in which questions about the same facts share one prefix.

A group is a prefix with branches; in a packed row every branch sees the prefix and itself, and its positions
go on from the prefix, so each branch gets exactly the hidden states that it would get alone:

    ids        P P P | a a a | b b
    positions  0 1 2 | 3 4 5 | 3 4
    mask       P  x          row attends to column where marked
               a  x    x(causal)
               b  x            x(causal)

Only hidden states that predict a response token are gathered for the language-model head.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from tasks.ml.prompts import Example
from tasks.ml.seeding import random_for


@dataclass(frozen=True)
class Branch:
    """One question below a prefix: the rest of its prompt, its response, its index in the dataset."""

    tail: tuple[int, ...]
    response: tuple[int, ...]
    index: int

    def __len__(self) -> int:
        return len(self.tail) + len(self.response)


@dataclass(frozen=True)
class Group:
    """A prefix and the branches that share it."""

    prefix: tuple[int, ...]
    branches: tuple[Branch, ...]

    def __len__(self) -> int:
        return len(self.prefix) + sum(len(branch) for branch in self.branches)


@dataclass(frozen=True)
class PackedBatch:
    """R packed rows of T tokens with N response tokens among them.

    Attributes:
        input_ids: Token ids, padded at the right. Shape [R, T].
        position_ids: Position of each token in its own sequence. Shape [R, T].
        mask: True where a row may attend to a column. Shape [R, 1, T, T].
        source: Flat index into [R * T] of the hidden state that predicts each response token. Shape [N].
        target: The response tokens. Shape [N].
        example: Index in the dataset of the example that each response token belongs to. Shape [N].
        step: Position of each response token in its response. Shape [N].
        end: Flat index into [R * T] of the last token of each branch. Shape [B].
        branch: Index in the dataset of the example of each branch. Shape [B].
        tokens: Number of real tokens, without padding.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    mask: torch.Tensor
    source: torch.Tensor
    target: torch.Tensor
    example: torch.Tensor
    step: torch.Tensor
    end: torch.Tensor
    branch: torch.Tensor
    tokens: int


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the longest prefix of all sequences that leaves at least one token of each."""
    shortest = min(len(sequence) for sequence in sequences)
    first = sequences[0]
    for place in range(shortest - 1):
        if any(sequence[place] != first[place] for sequence in sequences):
            return place
    return max(shortest - 1, 0)


def group_examples(
    examples: Sequence[Example],
    keys: Sequence[str],
    longest: int,
    picks: Iterable[int] | None = None,
    units: Sequence[str] | None = None,
) -> list[Group]:
    """Group examples whose keys are equal; a group longer than `longest` tokens is cut into several.

    Args:
        examples: Encoded examples; those without a response may be grouped too.
        keys: The shared context of each example.
        longest: Most tokens of a packed row; a single unit may be longer.
        picks: Indices of the examples to group, of which some may come more than once; None for each once.
        units: What each example belongs to; examples of one key and unit are never cut apart. None: each is
            a unit of its own.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index in range(len(examples)) if picks is None else picks:
        members[keys[index]].append(index)
    groups = []
    for indices in members.values():
        shared = common_prefix([examples[index].prompt for index in indices])
        prefix = examples[indices[0]].prompt[:shared]
        together: dict[str | int, list[Branch]] = defaultdict(list)
        for place, i in enumerate(indices):
            branch = Branch(examples[i].prompt[shared:], examples[i].response, i)
            together[place if units is None else units[i]].append(branch)
        groups += [Group(prefix, part) for part in _cut(together.values(), longest - shared)]
    return groups


def _cut(units: Iterable[Sequence[Branch]], room: int) -> Iterator[tuple[Branch, ...]]:
    part: list[Branch] = []
    for unit in units:
        if part and sum(map(len, part)) + sum(map(len, unit)) > room:
            yield tuple(part)
            part = []
        part += unit
    yield tuple(part)


def draw_whole_groups(keys: Sequence[str], count: int, draw: random.Random) -> list[int]:
    """Indices of about `count` members, drawn key by key, so that what is drawn shares prefixes.

    Args:
        keys: The shared context of each member; members without one are drawn one by one.
        count: At most this many; only the last key may be cut.
        draw: Source of the order of keys.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        members[key or f"member {index}"].append(index)
    order = draw.sample(list(members), len(members))
    return [index for key in order for index in members[key]][:count]


def plan_batches(groups: Sequence[Group], budget: int, seed: int, epoch: int) -> list[list[Group]]:
    """Shuffle groups into batches whose padded size (rows times longest row) is at most `budget` tokens.

    Groups of similar length meet in a batch: they are shuffled, sorted within windows, and the batches are
    shuffled again. The plan depends on nothing but the arguments, so a resumed run walks the same one.
    """
    draw = random_for("batches", seed, epoch)
    order = draw.sample(list(groups), len(groups))
    window = 64
    batches: list[list[Group]] = []
    for start in range(0, len(order), window):
        batches += fill(order[start : start + window], budget)
    return draw.sample(batches, len(batches))


def plan_epochs(epochs: Sequence[Sequence[Group]], budget: int, seed: int) -> list[list[Group]]:
    """The groups of every optimiser step of all epochs, each epoch shuffled anew; see `plan_batches`."""
    return [
        batch for epoch, groups in enumerate(epochs) for batch in plan_batches(groups, budget, seed, epoch)
    ]


def fill(groups: Sequence[Group], budget: int) -> Iterator[list[Group]]:
    """Put groups into batches of at most `budget` tokens, padding included, shortest first."""
    batch: list[Group] = []
    for group in sorted(groups, key=len):
        if batch and len(group) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def round_up(size: int) -> int:
    """The next of eight sizes that lie between two powers of 2.

    The library of the processor makes a program for every new shape of a product: milliseconds and about a
    megabyte each. Padding by an eighth at most keeps shapes few.
    """
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


def pack(groups: Sequence[Group], pad: int) -> PackedBatch:
    """Lay groups out as one padded batch, one group a row."""
    width = round_up(max(len(group) for group in groups))
    input_ids = torch.full((len(groups), width), pad)
    position_ids = torch.zeros((len(groups), width), dtype=torch.long)
    mask = torch.eye(width, dtype=torch.bool).repeat(len(groups), 1, 1)
    picks: list[tuple[int, int, int, int]] = []
    ends: list[tuple[int, int]] = []
    for row, group in enumerate(groups):
        layout = _lay_out(group, mask[row])
        input_ids[row, : len(group)] = torch.tensor(layout.ids)
        position_ids[row, : len(group)] = torch.tensor(layout.positions)
        picks += [(row * width + p, target, index, step) for p, target, index, step in layout.picks]
        ends += [(row * width + place, index) for place, index in layout.ends]
    source, target, example, step = torch.tensor(picks, dtype=torch.long).reshape(-1, 4).T
    end, branch = torch.tensor(ends, dtype=torch.long).reshape(-1, 2).T
    tokens = sum(len(group) for group in groups)
    mask = mask.unsqueeze(1)
    return PackedBatch(input_ids, position_ids, mask, source, target, example, step, end, branch, tokens)


@dataclass
class _Layout:
    """One packed row: ids, positions, picks (place, target, example, step) and ends (place, example)."""

    ids: list[int]
    positions: list[int]
    picks: list[tuple[int, int, int, int]]
    ends: list[tuple[int, int]]


def _lay_out(group: Group, mask: torch.Tensor) -> _Layout:
    """Lay one group out and mark in its mask [T, T] who sees whom."""
    shared = len(group.prefix)
    layout = _Layout(list(group.prefix), list(range(shared)), [], [])
    mask[:shared, :shared] = torch.ones(shared, shared, dtype=torch.bool).tril()
    for branch in group.branches:
        start, length = len(layout.ids), len(branch)
        stop = start + length
        layout.ids += [*branch.tail, *branch.response]
        layout.positions += range(shared, shared + length)
        mask[start:stop, :shared] = True
        mask[start:stop, start:stop] = torch.ones(length, length, dtype=torch.bool).tril()
        first = start + len(branch.tail) - 1
        layout.picks += [
            (first + step, token, branch.index, step) for step, token in enumerate(branch.response)
        ]
        layout.ends.append((stop - 1, branch.index))
    return layout
