"""A reward model's card: what it is worth on held-out preferences, beside rules that understand nothing.

The unit is a vote, one annotator's preference between two answers; intervals draw whole questions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.schema_gate import GateConfig
from tasks.ml.calibration import Calibration, calibration, cross_fitted, fit_temperature, was_right
from tasks.ml.metrics import Interval, QuestionBootstrap, Values
from tasks.ml.null_rules import Rule, Votes, null_rules

# Answers whose lengths differ by no more than this share of the longer one count as equally long.
NEARLY_EQUAL = 0.1
FEWEST_QUESTIONS = 5  # of a slice that gets an interval


@dataclass(frozen=True)
class Opponent:
    """A rule beside the model.

    Attributes:
        name: What it does.
        accuracy: Share of the votes that it orders as the annotators did.
        lead: By how much the model is right more often, paired by question.
        same: Share of the votes on which model and rule say the same.
    """

    name: str
    accuracy: Interval
    lead: Interval
    same: float


@dataclass(frozen=True)
class Slice:
    """A part of the held-out votes.

    Attributes:
        by: `task`, `annotator` or `length`.
        name: Which one.
        votes: How many.
        questions: Of how many questions.
        right: Share that the model orders as the annotators did.
        low: Lower end of its interval; None where there are too few questions for one.
        high: Upper end.
    """

    by: str
    name: str
    votes: int
    questions: int
    right: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """Votes of several annotators on the same pair.

    Attributes:
        pairs: Pairs with at least two votes.
        agree: Share of the couples of votes on one pair that say the same.
        ceiling: No model is right more often than this on such pairs.
    """

    pairs: int
    agree: float
    ceiling: float


@dataclass(frozen=True)
class Evidence:
    """What held-out votes show.

    Attributes:
        accuracy: Share of the votes that the model orders as the annotators did.
        opponents: The rules that it must beat.
        length_balanced: Its accuracy where votes for the longer and for the shorter answer weigh the same, so
            that knowing which is longer is worth nothing; None where all votes are of one kind.
        length_correlation: Of score and words among the answers to one question.
        as_trained: Calibration of the scores.
        temperature: What makes the probabilities of all held-out votes likeliest.
        calibrated: Calibration over temperatures fitted on other questions.
        agreement: Between annotators; None where no pair has two votes.
        slices: Parts of the votes.
    """

    accuracy: Interval
    opponents: tuple[Opponent, ...]
    length_balanced: Interval | None
    length_correlation: float
    as_trained: Calibration
    temperature: float
    calibrated: Calibration
    agreement: Agreement | None
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class RewardCard:
    """The card.

    Attributes:
        votes: Held-out votes.
        pairs: Different pairs of answers in them.
        questions: Held-out questions with a vote.
        all_questions: Questions with a vote, those of training too.
        simulated: How many of the held-out votes no person made.
        confidence: Level of all intervals.
        evidence: What they show; None where there is no held-out vote.
    """

    votes: int
    pairs: int
    questions: int
    all_questions: int
    simulated: int
    confidence: float
    evidence: Evidence | None


def make_card(
    scores: Values, train: Votes, test: Votes, sizes: Values, gate: GateConfig, seed: int
) -> RewardCard:
    """Examine a reward model.

    Args:
        scores: Of each answer. Shape [M].
        train: The votes that it learnt from.
        test: Votes on other questions.
        sizes: Words and characters of each answer. Shape [M, 2].
        gate: Level and resamples of the intervals.
        seed: Of the resampling and of the folds.
    """
    questions = set(test.question.tolist())
    return RewardCard(
        votes=len(test),
        pairs=test.pairs,
        questions=len(questions),
        all_questions=len(questions | set(train.question.tolist())),
        simulated=int(test.simulated.sum()),
        confidence=gate.confidence,
        evidence=_evidence(scores, null_rules(scores, train, test, sizes), test, sizes[:, 0], gate, seed)
        if len(test)
        else None,
    )


def _evidence(
    scores: Values, rules: list[Rule], test: Votes, words: Values, gate: GateConfig, seed: int
) -> Evidence:
    questions = np.unique(test.question, return_inverse=True)[1].astype(np.int64)
    bootstrap = QuestionBootstrap(questions, gate.resamples, gate.confidence, seed)
    margins = test.margins(scores)
    right, every = was_right(margins), np.ones(len(test))
    opponents = tuple(
        Opponent(
            rule.name,
            bootstrap.share(was_right(rule.margins), every),
            bootstrap.share(right - was_right(rule.margins), every),
            float((np.sign(rule.margins) == np.sign(margins)).mean()),
        )
        for rule in rules
    )
    longer = test.margins(words)
    balance = balancing_weights(longer)
    return Evidence(
        accuracy=bootstrap.share(right, every),
        opponents=opponents,
        length_balanced=None if balance is None else bootstrap.share(right, balance),
        length_correlation=length_correlation(scores, words, test),
        as_trained=calibration(margins),
        temperature=fit_temperature(margins),
        calibrated=calibration(cross_fitted(margins, questions, seed)),
        agreement=agreement(test),
        slices=tuple(slices(right, test, words, bootstrap)),
    )


def balancing_weights(longer: Values) -> Values | None:
    """Weights under which as many votes go to the longer answer as to the shorter one. Shape [N].

    Votes between equally long answers keep their weight of 1, and the sum is N.

    Args:
        longer: Words of the chosen answer less those of the other. Shape [N].
    """
    up, down = int((longer > 0).sum()), int((longer < 0).sum())
    if not up or not down:
        return None
    half = (up + down) / 2
    return np.where(longer > 0, half / up, np.where(longer < 0, half / down, 1.0))


def length_correlation(scores: Values, words: Values, votes: Votes) -> float:
    """Pearson's correlation of score and words, both less their mean over the answers to the question."""
    asked = np.concatenate([votes.question, votes.question])
    answers, first = np.unique(np.concatenate([votes.chosen, votes.rejected]), return_index=True)
    owner = np.unique(asked[first], return_inverse=True)[1]
    counts = np.bincount(owner)
    score, length = (
        values[answers] - (np.bincount(owner, weights=values[answers]) / counts)[owner]
        for values in (scores, words)
    )
    spread = float(np.sqrt((score**2).sum() * (length**2).sum()))
    return float((score * length).sum()) / spread if spread else 0.0


def agreement(votes: Votes) -> Agreement | None:
    """How often two votes on one pair say the same, and what that leaves for any model.

    If a share p of the votes on a pair goes to its better answer, two of them agree with probability
    a = p^2 + (1 - p)^2, and who knows the better answer is right with p = (1 + sqrt(2 a - 1)) / 2. That is
    concave in a, so the mean over pairs is at most the p of the mean agreement (Jensen).
    """
    low, high = np.minimum(votes.chosen, votes.rejected), np.maximum(votes.chosen, votes.rejected)
    pair = np.unique(np.stack([low, high]), axis=1, return_inverse=True)[1].ravel()
    total = np.bincount(pair).astype(np.float64)
    for_low = np.bincount(pair, weights=votes.chosen == low)
    several = total > 1
    if not several.any():
        return None
    total, for_low = total[several], for_low[several]
    same = for_low * (for_low - 1) + (total - for_low) * (total - for_low - 1)
    agree = float((same / (total * (total - 1))).mean())
    return Agreement(len(total), agree, (1 + float(np.sqrt(max(2 * agree - 1, 0)))) / 2)


def slices(right: Values, votes: Votes, words: Values, bootstrap: QuestionBootstrap) -> list[Slice]:
    """Accuracy by task, by annotator and by which of the two answers is longer."""
    parts = [("task", votes.task), ("annotator", votes.annotator), ("length", length_classes(votes, words))]
    return [
        _slice(by, str(name), right, labels == name, bootstrap)
        for by, labels in parts
        for name in np.unique(labels)
    ]


def _slice(
    by: str, name: str, right: Values, inside: NDArray[np.bool_], bootstrap: QuestionBootstrap
) -> Slice:
    found = bootstrap.share(right, inside.astype(np.float64))
    is_enough = found.n >= FEWEST_QUESTIONS
    low, high = (found.low, found.high) if is_enough else (None, None)
    return Slice(by, name, int(inside.sum()), found.n, found.value, low, high)


def length_classes(votes: Votes, words: Values) -> NDArray[np.str_]:
    """Whether the chosen answer is longer, shorter, or within a tenth of the other's length. Shape [N]."""
    chosen, rejected = words[votes.chosen], words[votes.rejected]
    near = np.abs(chosen - rejected) <= NEARLY_EQUAL * np.maximum(chosen, rejected)
    return np.where(near, "nearly equal", np.where(chosen > rejected, "chosen longer", "chosen shorter"))
