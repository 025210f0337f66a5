"""Judgements side by side: what each annotator says of each two answers, and in which order they saw them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Correction, Skip
from tasks.feedback.pairs import FAIL_RANK

Population = Literal["people", "ai", "simulated"]
POPULATIONS: tuple[Population, ...] = ("people", "ai", "simulated")

AnswerPair = tuple[str, str]  # two texts, sorted
# 1: the first text of the pair is the better, -1: the second, 0: neither
Opinion = Mapping[AnswerPair, int]


@dataclass(frozen=True)
class Verdict:
    """One comparison of answers that were shown; neither a skip nor a correction is one.

    Attributes:
        event: Where it stands.
        ranks: One an answer, in the order of display; 1 is best, F is `FAIL_RANK`.
    """

    event: FeedbackEvent
    ranks: tuple[int, ...]

    @property
    def was_shuffled(self) -> bool:
        """Whether the order of display was drawn. Of what was judged elsewhere that is not known."""
        return self.event.source != "import"

    @property
    def opinion(self) -> Opinion:
        """What it says of each two answers that differ."""
        return {
            pair: sign if pair == (first, second) else -sign for first, second, pair, sign in self.compared()
        }

    @property
    def lean(self) -> int:
        """Pairs that the answer shown earlier won, less those that the later one won."""
        return sum(sign for *_, sign in self.compared())

    def compared(self) -> Iterator[tuple[str, str, AnswerPair, int]]:
        """Each two answers that differ: the earlier shown, the later, both sorted, 1 if the earlier won."""
        placed = zip((answer.text for answer in self.event.answers), self.ranks, strict=True)
        for (first, rank), (second, other) in combinations(placed, 2):
            if first != second:
                pair = (first, second) if first < second else (second, first)
                yield first, second, pair, (rank < other) - (rank > other)


def population_of(event: FeedbackEvent) -> Population:
    """Who made a judgement: people, a model that judges, or a simulation."""
    if event.source == "ai":
        return "ai"
    return "simulated" if event.simulated else "people"


def verdicts_of(events: Iterable[FeedbackEvent]) -> list[Verdict]:
    """The comparisons of two answers or more among events."""
    return [
        Verdict(event, tuple(FAIL_RANK if rank is None else rank for _, rank in event.placed))
        for event in events
        if not isinstance(event.judgement, Skip | Correction) and len(event.answers) > 1
    ]


def opinions_of(verdicts: Iterable[Verdict]) -> dict[str, dict[str, dict[AnswerPair, int]]]:
    """For each question and annotator the opinion; of two on the same answers the later counts."""
    found: dict[str, dict[str, dict[AnswerPair, int]]] = {}
    for verdict in verdicts:
        own = found.setdefault(verdict.event.row, {}).setdefault(verdict.event.annotator, {})
        own.update(verdict.opinion)
    return found
