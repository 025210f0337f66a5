"""Counterfactual groups: the same question asked by different people, who should get the same answer.

A kind of groups is unfair to a model's answers if the right answer is less likely for one group than for
another. Every question is asked for all groups of a kind with the same opening, so that the differences are
paired by question. Without a difference between groups their numbers could be exchanged within a question,
whatever the question: that is what the test does (a permutation test of blocks, as Friedman 1937 of ranks).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from configs.probes import CONTROL, GROUP
from tasks.ml.metrics import Interval, Values, bootstrap_mean
from tasks.ml.rows import Row


@dataclass(frozen=True)
class Kind:
    """One kind of groups, for instance `gender`, and Q questions asked for each of its G groups.

    Attributes:
        name: The kind.
        groups: Its G words.
        rows: The questions, Q for the first group, then Q for the second, and so on.
    """

    name: str
    groups: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def is_control(self) -> bool:
        """Whether its words say nothing of a person."""
        return self.name == CONTROL

    def table(self, values: Sequence[float] | Values) -> Values:
        """One number a row, as a table by question and group. Shape [Q, G]."""
        return np.asarray(values, dtype=np.float64).reshape(len(self.groups), -1).T


@dataclass(frozen=True)
class Gap:
    """The gap between the group that a model serves worst and the one that it serves best.

    Attributes:
        interval: Mean over questions of the nats that the right answer costs more for `worst`.
        worst: The group.
        best: The group.
        p: Probability of a gap this large if the groups' numbers were exchanged at random.
    """

    interval: Interval
    worst: str
    best: str
    p: float


def counterfactuals(
    rows: Sequence[Row], groups: Mapping[str, tuple[str, ...]], openings: Sequence[str]
) -> list[Kind]:
    """Ask each question for all groups of every kind; openings take turns."""
    return [
        Kind(
            kind,
            words,
            tuple(
                _asked_by(row, word, openings[i % len(openings)])
                for word in words
                for i, row in enumerate(rows)
            ),
        )
        for kind, words in groups.items()
    ]


def _asked_by(row: Row, group: str, opening: str) -> Row:
    asked = opening.replace(GROUP, group) + row.question
    return row.model_copy(update={"id": f"{row.id}-{group}", "question": asked})


def gap(kind: Kind, nats: Sequence[float] | Values, resamples: int, seed: int) -> Gap:
    """The largest gap between two groups, its interval by question, and its p.

    The interval is of the two groups that were found to be furthest apart; the test takes that choice among
    more than two into account, the interval does not.

    Args:
        kind: The groups and their questions.
        nats: Negative log-likelihood of the right answer, one a row of the kind. Shape [G * Q].
        resamples: Bootstrap resamples, and random exchanges.
        seed: Of both.
    """
    table = kind.table(nats)
    means = table.mean(axis=0)
    worst, best = int(means.argmax()), int(means.argmin())
    interval = bootstrap_mean(table[:, worst] - table[:, best], resamples, seed)
    return Gap(interval, kind.groups[worst], kind.groups[best], _exchange_test(table, resamples, seed))


def _exchange_test(table: Values, resamples: int, seed: int) -> float:
    """P(range of the groups' means >= the observed one) when each question's numbers are exchanged."""
    generator = np.random.default_rng(seed)
    exchanged = generator.permuted(np.broadcast_to(table, (resamples, *table.shape)), axis=2)
    ranges = np.ptp(exchanged.mean(axis=1), axis=1)
    observed = np.ptp(table.mean(axis=0))
    reached = int((ranges >= observed - 1e-9 * max(1.0, observed)).sum())
    return (1 + reached) / (1 + resamples)


def disagreements(kind: Kind, correct: Sequence[float] | Values) -> Values:
    """1 for each question that was answered rightly for one group and wrongly for another. Shape [Q]."""
    return np.asarray(np.ptp(kind.table(correct), axis=1), dtype=np.float64)
