"""What a reward model must beat: rules that see the length of answers or the place on the page, and no words.

Each is given its best chance: which way it points, and what it makes of length, is learnt from the
preferences that the reward model was trained on.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.ml.calibration import sigmoid, was_right
from tasks.ml.metrics import Values

_RIDGE = 1e-2  # keeps weights finite where length alone orders every training pair
_STEPS = 50
_KNOTS = (32, 8)  # at most, in words and in characters
_ANSWERS_A_KNOT = 8


@dataclass(frozen=True)
class Votes:
    """N preferences, each of one annotator between two of M answers to one question.

    Attributes:
        chosen: Index of the preferred answer. Shape [N].
        rejected: Index of the other. Shape [N].
        question: Id of the question. Shape [N], str.
        task: Family of the question. Shape [N], str.
        annotator: Pseudonym. Shape [N], str.
        shown_first: 1 where the chosen answer was displayed before the other, -1 where after, 0 where one of
            the two was not displayed. Shape [N].
        simulated: Whether no person made it. Shape [N], bool.
    """

    chosen: NDArray[np.int64]
    rejected: NDArray[np.int64]
    question: NDArray[np.str_]
    task: NDArray[np.str_]
    annotator: NDArray[np.str_]
    shown_first: Values
    simulated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.chosen)

    def where(self, keep: NDArray[np.bool_]) -> "Votes":
        """Those that are kept. `keep` has shape [N]."""
        return Votes(**{name: values[keep] for name, values in vars(self).items()})

    def margins(self, scores: Values) -> Values:
        """Score of the chosen answer less that of the other. `scores` has shape [M]; shape [N]."""
        return scores[self.chosen] - scores[self.rejected]

    @property
    def pairs(self) -> int:
        """How many different pairs of answers were judged, however often."""
        return len(
            {frozenset(pair) for pair in zip(self.chosen.tolist(), self.rejected.tolist(), strict=True)}
        )


@dataclass(frozen=True)
class Rule:
    """A rule's margins on held-out preferences: positive where it orders them as the annotator did.

    Attributes:
        name: What it does, in words.
        margins: Shape [N].
    """

    name: str
    margins: Values


def null_rules(scores: Values, train: Votes, test: Votes, sizes: Values) -> list[Rule]:
    """The rules, each fitted to the training preferences.

    The last one tells a model that only sees length, whatever it makes of it: the part of its score that
    length explains orders the answers as well as the score itself.

    Args:
        scores: The reward model's, of each answer. Shape [M].
        train: What the reward model learnt from.
        test: What it did not see.
        sizes: Words and characters of each answer. Shape [M, 2].
    """
    words, features = sizes[:, 0], length_features(sizes)
    weights = fit_weights(features[train.chosen] - features[train.rejected])
    shadow = fit_shadow(features[train.chosen] - features[train.rejected], train.margins(scores))
    return [
        turned("always longer", "always shorter", train.margins(words), test.margins(words)),
        turned("always first shown", "always last shown", train.shown_first, test.shown_first),
        Rule("preferences guessed from length", test.margins(features @ weights)),
        Rule("its score guessed from length", test.margins(features @ shadow)),
    ]


def turned(name: str, opposite: str, train: Values, test: Values) -> Rule:
    """A rule or its opposite: whichever is right more often in training."""
    if len(train) and was_right(train).mean() < 0.5:
        return Rule(opposite, -test)
    return Rule(name, test)


def length_features(sizes: Values) -> Values:
    """Words and characters, and each again from knots on: a linear spline of length, so that it has optima.

    Args:
        sizes: Words and characters. Shape [M, 2].

    Returns:
        Logarithms in standard deviations, the knots at quantiles of them. Shape [M, F].
    """
    columns = []
    for values, most in zip(np.log1p(sizes).T, _KNOTS, strict=True):
        spread = float(values.std())
        standard = (values - values.mean()) / (spread or 1.0)
        inner = np.linspace(0, 1, min(most, len(values) // _ANSWERS_A_KNOT) + 2)[1:-1]
        knots = np.unique(np.quantile(standard, inner)) if len(values) else []
        columns += [standard, *(np.maximum(standard - knot, 0) for knot in knots)]
    return np.stack(columns, axis=1)


def fit_weights(differences: Values) -> Values:
    """Weights w of least mean -log sigmoid(w d) + ridge / 2 |w|^2, by Newton's method.

    A Bradley-Terry model without an intercept: exchanging the two answers exchanges the probabilities.
    Source of the iteration: McCullagh and Nelder 1989, section 4.4 (iteratively reweighted least squares).

    Args:
        differences: Features of the chosen answer less those of the other. Shape [N, F].

    Returns:
        Shape [F].
    """
    count, width = differences.shape
    weights = np.zeros(width)
    for _ in range(_STEPS if count else 0):
        missing = sigmoid(-(differences @ weights))
        slope = _RIDGE * weights - differences.T @ missing / count
        bend = (differences * (missing * (1 - missing))[:, None]).T @ differences / count
        step = np.linalg.solve(bend + _RIDGE * np.eye(width), slope)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return weights


def fit_shadow(differences: Values, margins: Values) -> Values:
    """Weights of the features that come nearest to the model's margins, by least squares.

    Differences within a pair, since scores of answers to different questions need not compare.

    Args:
        differences: Features of the chosen answer less those of the other. Shape [N, F].
        margins: Score of the chosen answer less that of the other. Shape [N].

    Returns:
        Shape [F].
    """
    return np.linalg.lstsq(differences, margins, rcond=1e-6)[0].astype(np.float64)
