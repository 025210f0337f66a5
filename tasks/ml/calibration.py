"""How far a reward model's certainty can be trusted, in the probabilities that its scores imply.

By Bradley and Terry a score margin m = r(chosen) - r(rejected) says that the chosen answer is preferred with
probability sigmoid(m). A margin is positive where the model orders the two as the annotator did, so one
number a preference holds all: the order, the certainty and the outcome.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.ml.metrics import Values

BINS = 10
FOLDS = 5
# Beyond these the scores are a coin toss, or the sample is ordered without an error.
HOTTEST, COLDEST = 1e3, 1e-3
_STEPS = 100


@dataclass(frozen=True)
class Bin:
    """Preferences of which the model was about equally sure.

    Attributes:
        count: How many.
        certainty: Mean probability that it gave to the answer that it ranked higher, one half to 1.
        right: Share that the annotators ranked so too.
        low: Its least certain.
        high: Its most certain.
    """

    count: int
    certainty: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """Error of the probabilities.

    Attributes:
        error: Expected calibration error, 0 to 1.
        brier: Brier score, 0 to 1; one quarter for a coin.
        log_loss: Nats a preference; ln 2 for a coin.
        bins: What the error is made of, from the least to the most certain.
    """

    error: float
    brier: float
    log_loss: float
    bins: tuple[Bin, ...]


def calibration(margins: Values) -> Calibration:
    """All three errors. `margins` has shape [N], N at least 1."""
    bins = reliability(margins, min(BINS, len(margins)))
    return Calibration(calibration_error(bins), brier_score(margins), log_loss(margins), tuple(bins))


def was_right(margins: Values) -> Values:
    """1 where the margin is positive, 0 where it is negative, one half where it is 0. Shape [N]."""
    return (np.sign(margins) + 1) / 2


def reliability(margins: Values, bins: int) -> list[Bin]:
    """Bins of equal mass along the certainty sigmoid(|m|); see `reliability_of`."""
    return reliability_of(sigmoid(np.abs(margins)), was_right(margins), bins)


def reliability_of(certainty: Values, right: Values, bins: int) -> list[Bin]:
    """Bins of equal mass along a certainty, from the least to the most certain.

    Source: Nguyen and O'Connor 2015 (adaptive binning); Nixon et al. 2019 compare it with equal widths.

    Args:
        certainty: Probabilities. Shape [N].
        right: 1 where what was held probable came true, else 0. Shape [N].
        bins: How many, at most N.
    """
    order = np.argsort(certainty, kind="stable")
    return [
        Bin(
            len(part),
            float(certainty[part].mean()),
            float(right[part].mean()),
            float(certainty[part].min()),
            float(certainty[part].max()),
        )
        for part in np.array_split(order, bins)
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error: sum over bins of n_b / N |right_b - certainty_b|.

    Source: Naeini, Cooper and Hauskrecht 2015.
    """
    total = sum(found.count for found in bins)
    return sum(found.count * abs(found.right - found.certainty) for found in bins) / total


def brier_score(margins: Values) -> float:
    """Mean of (1 - sigmoid(m))^2: the squared error of what was said of the outcome. Source: Brier 1950."""
    return float((sigmoid(-margins) ** 2).mean())


def log_loss(margins: Values) -> float:
    """Mean of -log sigmoid(m), in nats."""
    return float(np.logaddexp(0, -margins).mean())


def sigmoid(values: Values) -> Values:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -values)))


def fit_temperature(margins: Values) -> float:
    """The T that makes the mean of -log sigmoid(m / T) least.

    In b = 1 / T the loss is convex: its slope, the mean of -m sigmoid(-b m), rises. Newton's method finds
    where it is 0, and halves the bracket where a step would leave it. Source: Guo et al. 2017, section 4.2.

    Args:
        margins: Shape [N].

    Returns:
        The temperature, within `COLDEST` and `HOTTEST`; 1 if nothing can be learnt from the margins.
    """
    if not np.any(margins):
        return 1.0
    low, high = 1 / HOTTEST, 1 / COLDEST
    if _slope(margins, low) >= 0:
        return HOTTEST
    if _slope(margins, high) <= 0:
        return COLDEST
    inverse = min(max(1 / float(np.abs(margins).mean()), low), high)
    for _ in range(_STEPS):
        slope = _slope(margins, inverse)
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        bend = float((margins**2 * sigmoid(inverse * margins) * sigmoid(-inverse * margins)).mean())
        step = inverse - slope / bend if bend > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return 1 / inverse


def _slope(margins: Values, inverse: float) -> float:
    return float((-margins * sigmoid(-inverse * margins)).mean())


def cross_fitted(margins: Values, questions: NDArray[np.int64], seed: int) -> Values:
    """Margins over temperatures that were fitted on other questions: what scaling is worth on unseen ones.

    Args:
        margins: Shape [N].
        questions: Number of each preference's question, from 0. Shape [N].
        seed: Of the partition of the questions.
    """
    count = int(questions.max()) + 1
    fold = np.random.default_rng(seed).permutation(count) % FOLDS
    scaled = margins.copy()
    for number in range(min(FOLDS, count)):
        inside = fold[questions] == number
        scaled[inside] /= fit_temperature(margins[~inside])
    return scaled
