"""Which examples an epoch sees: task families in chosen shares, general instructions on top.

Temperature-scaled mixing (Raffel et al. 2020, section 3.5.2): the share of family i with n_i examples is

    p_i = w_i n_i^(1/T) / sum_j w_j n_j^(1/T)

An epoch draws as many examples as there are, c_i of each family. They are dealt from a ring in an order of
their own, and the next epoch goes on where the last one ended: an example comes floor or ceil of c_i / n_i
times in an epoch, and over all epochs at most once more than another of its family.
"""

from collections.abc import Mapping, Sequence

from configs.schema_distill import DistillConfig
from configs.schema_mixture import MixtureConfig
from tasks.ml.batching import Group, group_examples
from tasks.ml.prompts import Example
from tasks.ml.rows import GENERAL, Row
from tasks.ml.seeding import random_for


def task_shares(
    counts: Mapping[str, int], weights: Mapping[str, float], temperature: float
) -> dict[str, float]:
    """Share of each task family in training; the shares sum to 1.

    Args:
        counts: Number of examples by family.
        weights: Weight by family, 1 where none is stated.
        temperature: 1 keeps the proportions of the data, larger ones level them.

    Raises:
        ValueError: Every family has weight 0.
    """
    sizes = {task: weights.get(task, 1.0) * count ** (1 / temperature) for task, count in counts.items()}
    total = sum(sizes.values())
    if not total:
        raise ValueError("every task family has weight 0")
    return {task: size / total for task, size in sizes.items()}


def apportion(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that sum to `total`, each the floor or the ceiling of its share, by largest remainder."""
    exact = {task: share * total for task, share in shares.items()}
    counts = {task: int(value) for task, value in exact.items()}
    by_remainder = sorted(exact, key=lambda task: counts[task] - exact[task])
    for task in by_remainder[: total - sum(counts.values())]:
        counts[task] += 1
    return counts


def draw_examples(tasks: Sequence[str], config: MixtureConfig, seed: int, epoch: int) -> list[int]:
    """Indices of the examples of an epoch, in order; as many as there are, some perhaps more than once.

    Args:
        tasks: Family of each example.
        config: The section; without weights and at temperature 1 every example is drawn once.
        seed: Of the order in which a family's examples are dealt.
        epoch: From 0.
    """
    members: dict[str, list[int]] = {}
    for index, task in enumerate(tasks):
        members.setdefault(task, []).append(index)
    shares = task_shares({t: len(own) for t, own in members.items()}, config.weights, config.temperature)
    drawn: list[int] = []
    for task, count in apportion(shares, len(tasks)).items():
        ring = _ring(members[task], seed, task)
        drawn += [ring[(epoch * count + place) % len(ring)] for place in range(count)]
    return sorted(drawn)


def draw_replay(tokens: Sequence[int], wanted: float, seed: int, epoch: int) -> list[int]:
    """Indices of general examples whose tokens sum to `wanted` as nearly as whole examples can.

    Args:
        tokens: Answer tokens of each general example.
        wanted: Answer tokens that an epoch is to see.
        seed: Of the order in which they are dealt.
        epoch: From 0; each goes on about where the last one ended.
    """
    if not wanted:
        return []
    ring = _ring(range(len(tokens)), seed, GENERAL)
    place = epoch * round(wanted * len(tokens) / sum(tokens))
    drawn: list[int] = []
    left = wanted
    while left > tokens[ring[place % len(ring)]] / 2:
        drawn.append(ring[place % len(ring)])
        left -= tokens[drawn[-1]]
        place += 1
    return sorted(drawn)


def training_groups(
    examples: Sequence[Example], rows: Sequence[Row], config: DistillConfig, seed: int, epoch: int
) -> list[Group]:
    """The groups of an epoch: the mixture of task families, then general instructions.

    Args:
        examples: Encoded rows.
        rows: Training rows; those of the task `general` come last and are drawn by `replay_share` alone.
        config: The section.
        seed: Of the draws.
        epoch: From 0.
    """
    families = [row.task for row in rows if row.task != GENERAL]
    picks = draw_examples(families, config.mixture, seed, epoch)
    general = [len(example.response) for example in examples[len(families) :]]
    if general:
        share = config.mixture.replay_share
        own = sum(len(examples[index].response) for index in picks)
        replayed = draw_replay(general, own * share / (1 - share), seed, epoch)
        picks += [len(families) + index for index in replayed]
    # Rows without context share a prefix only with their own kind, whose system message is the same.
    keys = [row.context or row.task for row in rows]
    return group_examples(examples, keys, config.row_tokens, picks)


def _ring(members: Sequence[int], seed: int, task: str) -> list[int]:
    return random_for("mixture", seed, task).sample(members, len(members))
