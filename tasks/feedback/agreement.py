"""How far annotators agree: Krippendorff's alpha, and each two of them on the same pairs of answers."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any, Literal

import krippendorff
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Ranking, Ratings, Thumbs
from tasks.feedback.pairs import FAIL_RANK
from tasks.feedback.verdicts import AnswerPair, Verdict, opinions_of

RESAMPLES = 300
# An interval needs questions to draw from, and draws in which alpha is defined.
FEWEST_QUESTIONS = 2
LEAST_DEFINED = 0.95

Level = Literal["nominal", "ordinal"]
# What was judged, its question first, and the value that each annotator gave.
Unit = tuple[Any, ...]
Units = Mapping[Unit, Mapping[str, float]]
Opinions = Mapping[str, Mapping[str, Mapping[AnswerPair, int]]]


class Alpha(BaseModel):
    """Krippendorff's alpha: 1 is full agreement, 0 what chance would give, below 0 is worse than that.

    Attributes:
        judged: `pairs`, `rankings`, `ratings` or `thumbs`.
        level: How far two values are apart: `nominal` or `ordinal`.
        value: None where alpha is not defined; `why` says why.
        low: Lower end of the 95 % bootstrap interval over questions.
        high: Its upper end.
        units: Things that two annotators or more judged.
        questions: Questions that they belong to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged: str
    level: Level
    value: float | None
    low: float | None
    high: float | None
    units: int
    questions: int
    why: str = ""


class PairAgreement(BaseModel):
    """How often two annotators say the same, ties included, of the answer pairs that both judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: str
    second: str
    same: int
    pairs: int


def alphas(events: Iterable[FeedbackEvent], verdicts: Iterable[Verdict], seed: int) -> list[Alpha]:
    """Alpha of preferences between two answers, and of each kind of judgement that there is."""
    listed = list(events)
    kinds: list[tuple[str, Level, Units]] = [
        ("pairs", "nominal", preference_units(opinions_of(verdicts))),
        ("rankings", "ordinal", ranking_units(listed)),
        ("ratings", "ordinal", rating_units(listed)),
        ("thumbs", "nominal", thumb_units(listed)),
    ]
    return [alpha(judged, level, units, seed) for judged, level, units in kinds if units or judged == "pairs"]


def alpha(judged: str, level: Level, units: Units, seed: int) -> Alpha:
    """Alpha with its interval (Krippendorff, Content Analysis, 2004, ch. 11), or why there is none.

    Args:
        judged: What the values are about.
        level: Their level of measurement.
        units: What was judged; the first part of its name is the question, by which it is resampled.
        seed: Of the resampling.
    """
    pairable = {unit: values for unit, values in units.items() if len(values) > 1}
    domain = sorted({value for values in pairable.values() for value in values.values()})
    found = Alpha(
        judged=judged,
        level=level,
        value=None,
        low=None,
        high=None,
        units=len(pairable),
        questions=len({unit[0] for unit in pairable}),
    )
    if not pairable:
        return found.model_copy(update={"why": "no two annotators judged the same"})
    if len(domain) == 1:
        why = "everybody gave one and the same value, so that chance would agree as well"
        return found.model_copy(update={"why": why})
    counts = _value_counts(pairable, domain)
    of_question: dict[str, list[int]] = {}
    for index, unit in enumerate(pairable):
        of_question.setdefault(unit[0], []).append(index)
    places = [np.array(indices) for indices in of_question.values()]
    low, high = _interval(counts, domain, level, places, seed)
    return found.model_copy(update={"value": _alpha(counts, domain, level), "low": low, "high": high})


def preference_units(opinions: Opinions) -> dict[Unit, dict[str, float]]:
    """Units of two answers to a question; the value says which is better, and 0 that neither is."""
    units: dict[Unit, dict[str, float]] = {}
    for row, by_annotator in opinions.items():
        for annotator, opinion in by_annotator.items():
            for pair, sign in opinion.items():
                units.setdefault((row, *pair), {})[annotator] = sign
    return units


def ranking_units(events: Iterable[FeedbackEvent]) -> dict[Unit, dict[str, float]]:
    """Units of an answer among those that it was ranked with; F is one rank below the last."""
    units: dict[Unit, dict[str, float]] = {}
    for event in events:
        if isinstance(event.judgement, Ranking):
            texts = frozenset(answer.text for answer in event.answers)
            given = [FAIL_RANK if rank is None else rank for rank in event.judgement.ranks]
            order = sorted({rank for rank in given if rank != FAIL_RANK})
            for answer, rank in zip(event.answers, given, strict=True):
                value = len(event.answers) + 1 if rank == FAIL_RANK else order.index(rank) + 1
                units.setdefault((event.row, texts, answer.text), {})[event.annotator] = value
    return units


def rating_units(events: Iterable[FeedbackEvent]) -> dict[Unit, dict[str, float]]:
    """Units of an answer; the value is its mark."""
    units: dict[Unit, dict[str, float]] = {}
    for event in events:
        if isinstance(event.judgement, Ratings):
            for answer, mark in zip(event.answers, event.judgement.ratings, strict=True):
                units.setdefault((event.row, answer.text), {})[event.annotator] = mark
    return units


def thumb_units(events: Iterable[FeedbackEvent]) -> dict[Unit, dict[str, float]]:
    """Units of an answer; the value is 1 for up and 0 for down."""
    units: dict[Unit, dict[str, float]] = {}
    for event in events:
        if isinstance(event.judgement, Thumbs):
            for answer, up in zip(event.answers, event.judgement.up, strict=True):
                units.setdefault((event.row, answer.text), {})[event.annotator] = float(up)
    return units


def pairwise_agreement(opinions: Opinions) -> list[PairAgreement]:
    """Each two annotators who judged the same pairs of answers, sorted by name."""
    same: dict[tuple[str, str], int] = {}
    pairs: dict[tuple[str, str], int] = {}
    for by_annotator in opinions.values():
        for first, second in combinations(sorted(by_annotator), 2):
            ours, theirs = by_annotator[first], by_annotator[second]
            common = ours.keys() & theirs.keys()
            if common:
                key = (first, second)
                pairs[key] = pairs.get(key, 0) + len(common)
                same[key] = same.get(key, 0) + sum(ours[pair] == theirs[pair] for pair in common)
    return [
        PairAgreement(first=first, second=second, same=same[first, second], pairs=count)
        for (first, second), count in sorted(pairs.items())
    ]


def _value_counts(units: Units, domain: list[float]) -> NDArray[np.int_]:
    place = {value: index for index, value in enumerate(domain)}
    counts = np.zeros((len(units), len(domain)), dtype=np.int_)
    for index, values in enumerate(units.values()):
        for value in values.values():
            counts[index, place[value]] += 1
    return counts


def _alpha(counts: NDArray[np.int_], domain: list[float], level: Level) -> float:
    return float(krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level))


def _interval(
    counts: NDArray[np.int_], domain: list[float], level: Level, places: list[NDArray[np.int_]], seed: int
) -> tuple[float | None, float | None]:
    """95 % percentile bootstrap over questions."""
    if len(places) < FEWEST_QUESTIONS:
        return None, None
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, len(places), size=len(places))
        sample = counts[np.concatenate([places[index] for index in drawn])]
        if (sample.sum(axis=0) > 0).sum() > 1:
            found.append(_alpha(sample, domain, level))
    if len(found) < LEAST_DEFINED * RESAMPLES:
        return None, None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
