"""Where judgements contradict each other: an annotator themself, in a circle, or one annotator another."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from pydantic import BaseModel, ConfigDict

from tasks.feedback.agreement import Opinions
from tasks.feedback.verdicts import AnswerPair, Verdict


class Contradictions(BaseModel):
    """Counts, and where to look.

    Attributes:
        repeated: Pairs of answers in which one annotator preferred one twice or more.
        reversed: Those of them that were decided both ways.
        circles: Questions on which one annotator's preferences go round in a circle of three or more.
        shared: Pairs of answers that two annotators or more decided.
        disputed: Those of them on which two say the opposite.
        by_annotator: For each who contradicts themself, on how many pairs and in how many circles.
        questions: Those on which somebody contradicts themself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repeated: int
    reversed: int
    circles: int
    shared: int
    disputed: int
    by_annotator: dict[str, int]
    questions: tuple[str, ...]


def find_contradictions(verdicts: Iterable[Verdict], opinions: Opinions) -> Contradictions:
    """All contradictions among comparisons."""
    said: dict[tuple[str, str], dict[AnswerPair, list[int]]] = {}
    for verdict in verdicts:
        own = said.setdefault((verdict.event.row, verdict.event.annotator), {})
        for pair, sign in verdict.opinion.items():
            if sign:
                own.setdefault(pair, []).append(sign)
    repeated = sum(len(signs) > 1 for own in said.values() for signs in own.values())
    by_annotator: dict[str, int] = {}
    rows: dict[str, None] = {}
    reversals, circles = 0, 0
    for (row, annotator), own in said.items():
        both_ways = sum(len(set(signs)) > 1 for signs in own.values())
        circle = goes_round({pair: signs[0] for pair, signs in own.items() if len(set(signs)) == 1})
        reversals, circles = reversals + both_ways, circles + circle
        if both_ways or circle:
            by_annotator[annotator] = by_annotator.get(annotator, 0) + both_ways + circle
            rows[row] = None
    shared, disputed = _between(opinions)
    return Contradictions(
        repeated=repeated,
        reversed=reversals,
        circles=circles,
        shared=shared,
        disputed=disputed,
        by_annotator=dict(sorted(by_annotator.items())),
        questions=tuple(rows),
    )


def goes_round(preferred: dict[AnswerPair, int]) -> bool:
    """Whether preferences (1: the first of the pair) close to a circle."""
    better: dict[str, list[str]] = {}
    for (first, second), sign in preferred.items():
        winner, loser = (first, second) if sign > 0 else (second, first)
        better.setdefault(loser, []).append(winner)
    try:
        TopologicalSorter(better).prepare()
    except CycleError:
        return True
    return False


def _between(opinions: Opinions) -> tuple[int, int]:
    """Pairs that two annotators or more decided, and those on which two say the opposite."""
    shared, disputed = 0, 0
    for by_annotator in opinions.values():
        signs: dict[AnswerPair, list[int]] = {}
        for opinion in by_annotator.values():
            for pair, sign in opinion.items():
                if sign:
                    signs.setdefault(pair, []).append(sign)
        shared += sum(len(given) > 1 for given in signs.values())
        disputed += sum(len(set(given)) > 1 for given in signs.values())
    return shared, disputed
