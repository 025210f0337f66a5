"""Whose judgements do not look like honest ones: exact tests of each annotator, corrected for their number.

Each takes a question, or a comparison whose order was drawn, as one observation: the pairs within a ranking
depend on each other. What an annotator is compared with is one other annotator of the same question, drawn;
an honest one is as likely to be above as below by the same amount, which is what the tests are exact for.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import factorial, prod
from typing import Literal

from tasks.feedback.agreement import Opinions
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Skip
from tasks.feedback.verdicts import AnswerPair, Verdict, opinions_of
from tasks.ml.seeding import random_for
from tasks.ml.significance import binomial_tail, holm, symmetry_test

# In at most one of twenty audits somebody honest is named at all.
LEVEL = 0.05
# Constant is who says the same this often.
CONSTANT_SHARE = 0.8
# Adults read 238 words a minute in silence (Brysbaert 2019); three times that is no reading.
FASTEST_WORDS_A_MINUTE = 3 * 238
# An honest reader may know an answer already, or send two judgements at once, now and then.
HASTY_SHARE = 0.1
# Above this p, agreement with others may be chance.
CHANCE_LEVEL = 0.05

Check = Literal["position", "length", "disagreement", "indecision", "constant", "haste"]


@dataclass(frozen=True)
class Suspicion:
    """What one test says of one annotator.

    Attributes:
        annotator: Of whom.
        check: Which test.
        observations: Questions or comparisons that it could use.
        p: How likely an honest annotator gives this much or more.
        adjusted: The same, corrected for all tests of the audit by Holm's method.
        words: What would be said of them.
        is_flagged: Whether it is said.
    """

    annotator: str
    check: Check
    observations: int
    p: float
    adjusted: float
    words: str
    is_flagged: bool


@dataclass(frozen=True)
class _Result:
    check: Check
    observations: int
    p: float
    words: str
    # Whether the annotator does what the words say, however surely.
    applies: bool = True


def check_annotators(
    events: Sequence[FeedbackEvent], verdicts: Sequence[Verdict], seed: int
) -> list[Suspicion]:
    """All tests of all annotators, the annotators by name; tests that have nothing to go by are left out."""
    opinions = opinions_of(verdicts)
    own: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        own.setdefault(verdict.event.annotator, []).append(verdict)
    acts: dict[str, list[FeedbackEvent]] = {}
    for event in events:
        acts.setdefault(event.annotator, []).append(event)
    shown = {(v.event.row, v.event.annotator): v for v in verdicts}
    found = [
        (annotator, result)
        for annotator in sorted(acts)
        for result in (
            _position(annotator, own.get(annotator, []), shown, opinions, seed),
            *_beside_others(annotator, opinions, seed),
            _constant(own.get(annotator, [])),
            _haste(acts[annotator]),
        )
        if result.observations
    ]
    adjusted = holm([result.p for _, result in found])
    return [
        Suspicion(
            annotator,
            result.check,
            result.observations,
            result.p,
            level,
            result.words,
            result.applies and level <= LEVEL,
        )
        for (annotator, result), level in zip(found, adjusted, strict=True)
    ]


def _position(
    annotator: str,
    own: Sequence[Verdict],
    shown: Mapping[tuple[str, str], Verdict],
    opinions: Opinions,
    seed: int,
) -> _Result:
    """Whether the place of display decides. Where it was not drawn, others who saw the same are the measure.

    A drawn order is as likely as its reverse, so that an honest annotator leans to either side alike.
    """
    leans = [verdict.lean for verdict in own if verdict.was_shuffled]
    for verdict in own:
        row = verdict.event.row
        if not verdict.was_shuffled and shown[row, annotator] is verdict:
            others = [
                name
                for name in sorted(opinions[row])
                if name != annotator and shown[row, name].event.answers == verdict.event.answers
            ]
            if others:
                other = random_for("position", seed, row, annotator).choice(others)
                leans.append(verdict.lean - shown[row, other].lean)
    prefers = "first" if sum(lean > 0 for lean in leans) >= sum(lean < 0 for lean in leans) else "last"
    words = f"prefers what is shown {prefers}"
    return _Result("position", sum(map(bool, leans)), symmetry_test(leans, two_sided=True), words)


def _beside_others(annotator: str, opinions: Opinions, seed: int) -> Iterator[_Result]:
    """Length, indecision and disagreement, each beside another annotator of the same question."""
    lengths: list[int] = []
    indecisions: list[int] = []
    agreements: list[int] = []
    lost: list[int] = []
    undecided, questions = 0, 0
    for row, by_annotator in opinions.items():
        if annotator not in by_annotator:
            continue
        ours = by_annotator[annotator]
        questions += 1
        undecided += not any(ours.values())
        others = [
            name for name in sorted(by_annotator) if name != annotator and ours.keys() & by_annotator[name]
        ]
        if not others:
            continue
        draw = random_for("beside", seed, row, annotator)
        partner, *rest = draw.sample(others, len(others))
        theirs = by_annotator[partner]
        common = ours.keys() & theirs.keys()
        lengths.append(_for_longer(ours, common) - _for_longer(theirs, common))
        indecisions.append(_is_undecided(ours, common) - _is_undecided(theirs, common))
        agreements.append(_concord(ours, theirs, common))
        for witness in rest:
            seen = common & by_annotator[witness].keys()
            if seen:
                judge = by_annotator[witness]
                lost.append(_concord(theirs, judge, seen) - _concord(ours, judge, seen))
                break
    yield _Result(
        "length", sum(map(bool, lengths)), symmetry_test(lengths), "prefers longer answers than others do"
    )
    yield _Result(
        "indecision",
        sum(map(bool, indecisions)),
        symmetry_test(indecisions),
        "hardly ever prefers one answer to another, where others do",
        undecided >= CONSTANT_SHARE * questions,
    )
    yield _Result(
        "disagreement",
        sum(map(bool, lost)),
        symmetry_test(lost),
        "agrees with others less than they with each other, and no more than by chance",
        symmetry_test(agreements) > CHANCE_LEVEL,
    )


def _constant(own: Sequence[Verdict]) -> _Result:
    """Whether the same ranks are given to whatever is shown.

    A drawn order makes every arrangement of a set of ranks equally likely, for an honest annotator.
    """
    given = [verdict.ranks for verdict in own if verdict.was_shuffled]
    if not given:
        return _Result("constant", 0, 1.0, "")
    ranks, count = Counter(given).most_common(1)[0]
    arrangements = factorial(len(ranks)) // prod(map(factorial, Counter(ranks).values()))
    if arrangements == 1:
        return _Result("constant", 0, 1.0, "")
    alike = sum(sorted(other) == sorted(ranks) for other in given)
    # Times the arrangements, because the most frequent one of them was looked for.
    p = min(1.0, arrangements * binomial_tail(count, alike, 1 / arrangements))
    words = "gives the same ranks to whatever is shown"
    if list(ranks) == sorted(set(ranks)):
        words = "ranks in the order of display"
    return _Result("constant", alike, p, words, count >= CONSTANT_SHARE * len(given))


def _haste(acts: Iterable[FeedbackEvent]) -> _Result:
    """Whether judgements follow each other faster than their answers can be read."""
    timed = sorted(
        ((when, event) for event in acts if event.source == "web" and (when := moment(event))),
        key=lambda pair: pair[0],
    )
    gaps = [
        (after - before, event)
        for (before, _), (after, event) in zip(timed, timed[1:], strict=False)
        # Who cannot judge, or mends what was said, need not read it all.
        if not isinstance(event.judgement, Skip) and event.replaces is None
    ]
    hasty = sum(gap < reading_time(event) for gap, event in gaps)
    words = f"judges faster than {FASTEST_WORDS_A_MINUTE} words a minute can be read"
    return _Result("haste", len(gaps), binomial_tail(hasty, len(gaps), HASTY_SHARE), words)


def moment(event: FeedbackEvent) -> datetime | None:
    """When a judgement was made, if that can be read; in UTC where it does not say."""
    try:
        when = datetime.fromisoformat(event.created_at or "")
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def reading_time(event: FeedbackEvent) -> timedelta:
    """The least in which all answers shown can be read; the question may be known already."""
    words = sum(len(answer.text.split()) for answer in event.answers)
    return timedelta(minutes=words / FASTEST_WORDS_A_MINUTE)


def _for_longer(opinion: Mapping[AnswerPair, int], pairs: Iterable[AnswerPair]) -> int:
    """Pairs that the longer answer won, less those that the shorter one won; lengths in characters."""
    return sum(opinion[a, b] * ((len(a) > len(b)) - (len(a) < len(b))) for a, b in pairs)


def _is_undecided(opinion: Mapping[AnswerPair, int], pairs: Iterable[AnswerPair]) -> int:
    return int(not any(opinion[pair] for pair in pairs))


def _concord(
    ours: Mapping[AnswerPair, int], theirs: Mapping[AnswerPair, int], pairs: Iterable[AnswerPair]
) -> int:
    """Pairs on which two opinions are the same, less those on which they are opposite."""
    return sum(ours[pair] * theirs[pair] for pair in pairs)
