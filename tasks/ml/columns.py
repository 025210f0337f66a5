"""Metrics as columns: one number a question for each model, so that comparisons are paired by question."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.ml.metrics import Interval, QuestionBootstrap, Values, win_shares

Better = Literal["higher", "lower"]
Contexts = NDArray[np.int64]
# Of the questions with these places.
Statistic = Callable[[NDArray[np.int64]], float]
EVEN = 0.5  # the share of wins of two models that are equally good


@dataclass(frozen=True)
class Column:
    """One metric of several models on the same Q questions.

    Attributes:
        metric: Its name in tables.
        unit: Its unit.
        better: Which values are better; None: neither, as of words.
        values: One number a question for each model; NaN where it was not asked. Shapes [Q].
        weights: 0 leaves a question out. Shape [Q].
        margin: The metric is the share of questions on which a model's value is higher by more than this than
            another's, ties counting one half; None: it is the mean of the values.
        against: The only model that others are compared with; None: any.
    """

    metric: str
    unit: str
    better: Better | None
    values: Mapping[str, Values]
    weights: Values
    margin: float | None = None
    against: str | None = None

    def compares(self, model: str, other: str) -> bool:
        """Whether the metric says anything of these two."""
        known = model in self.values and other in self.values
        return known and (self.against is None or self.against in (model, other))

    def asked(self, *models: str) -> Values:
        """The weights of the questions that all of these models were asked, 0 for the others. Shape [Q]."""
        known = np.all([~np.isnan(self.values[model]) for model in models], axis=0)
        return np.where(known, self.weights, 0)

    def difference(self, model: str, other: str) -> Values:
        """What a model has more than another on each question; of wins, one half less. Shape [Q].

        0 where one of them was not asked.
        """
        ours, theirs = self.values[model], self.values[other]
        if self.margin is None:
            return np.nan_to_num(ours - theirs)
        return win_shares(ours, theirs, self.margin) - EVEN

    def level(self, model: str, baseline: str) -> tuple[Values, Values]:
        """What the metric's own figure is the mean of, and the weights; of wins, those over the baseline.

        Shapes [Q].
        """
        if self.margin is None:
            return np.nan_to_num(self.values[model]), self.asked(model)
        shares = win_shares(self.values[model], self.values[baseline], self.margin)
        return shares, self.asked(model, baseline)

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "metric": self.metric,
            "unit": self.unit,
            "better": self.better,
            "margin": self.margin,
            "weights": self.weights.tolist(),
            "values": {
                model: [None if np.isnan(one) else one for one in own.tolist()]
                for model, own in self.values.items()
            },
        }


@dataclass(frozen=True)
class Sample:
    """Questions that were put to all models, and what was measured on them.

    Attributes:
        name: What they are.
        ids: One a question.
        contexts: Number of each question's context, from 0; questions of one context are not independent.
            Shape [Q].
        columns: The metrics.
    """

    name: str
    ids: tuple[str, ...]
    contexts: Contexts
    columns: tuple[Column, ...]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file, from which two runs that asked the same questions can be compared."""
        return {
            "sample": self.name,
            "ids": list(self.ids),
            "contexts": self.contexts.tolist(),
            "columns": [column.as_dict() for column in self.columns],
        }


def contexts_of(sample: Sample, weights: Values) -> int:
    """How many contexts hold questions of some weight."""
    return len(np.unique(sample.contexts[weights > 0]))


def filled(values: Mapping[str, Values]) -> dict[str, Values]:
    """Values of models, with NaN for the last questions where one was asked only the first. Shapes [Q]."""
    count = max(map(len, values.values()))
    return {model: filled_to(count, own) for model, own in values.items()}


def filled_to(count: int, own: Values) -> Values:
    """Values of the first questions, with NaN for the rest. Shape [count]."""
    return np.concatenate([own, np.full(count - len(own), np.nan)])


def everywhere(values: Mapping[str, Values]) -> Values:
    """Equal weights for all questions. Shape [Q]."""
    return np.ones(len(next(iter(values.values()))))


def counted(bootstrap: QuestionBootstrap, values: Values, weights: Values) -> Interval:
    """A weighted mean whose interval draws whole contexts, and whose `n` counts questions."""
    found = bootstrap.share(values, weights)
    return Interval(found.value, found.low, found.high, int((weights > 0).sum()))


def influences(statistic: Statistic, contexts: Contexts, weights: Values) -> tuple[Values, Values]:
    """Values whose weighted mean is a statistic that is no mean itself, and whose spread is its spread.

    A context's value is T + (C - 1) (mean of T without a context - T without this one): the jackknife's
    pseudo-values, centred on the statistic T (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling
    Plans", chapter 3). Questions share the weight of their context evenly. With one context all are T.

    Args:
        statistic: Of the questions with these places.
        contexts: Shape [Q].
        weights: 0 leaves a question out. Shape [Q].

    Returns:
        Values and weights. Shapes [Q].
    """
    places = np.flatnonzero(weights)
    inside = contexts[places]
    whole = statistic(places)
    numbers, sizes = np.unique(inside, return_counts=True)
    rest = [places[inside != number] for number in numbers]
    without = np.array([statistic(some) if len(some) else whole for some in rest])
    own = whole + (len(numbers) - 1) * (without.mean() - without)
    row = np.searchsorted(numbers, inside)
    values, shares = np.zeros(len(contexts)), np.zeros(len(contexts))
    values[places], shares[places] = own[row], 1 / sizes[row]
    return values, shares
