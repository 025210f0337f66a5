"""One annotator beside the others: how often the first shown and the longer answer win, and agreement."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from tasks.feedback.agreement import Opinions
from tasks.feedback.checks import Suspicion
from tasks.feedback.coverage import Coverage, cover
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.verdicts import AnswerPair, verdicts_of
from tasks.ml.metrics import Interval, bootstrap_ratio

RESAMPLES = 1000

Part = tuple[float, float]  # how often something happened, and how often it could have


class AnnotatorAudit(BaseModel):
    """One annotator.

    Attributes:
        name: The pseudonym.
        coverage: What they judged.
        first_wins: How often the answer shown earlier won, of the pairs that they decided; 0.5 is chance.
        longer_wins: How often the longer answer won, of the pairs that others judged too; a tie is a half.
        others_longer_wins: How often it won with those others, on the same pairs.
        longer_beyond: The difference of the two.
        agreement: How often others said the same of the pairs that they judged, ties included.
        suspicions: The tests, in words and figures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    coverage: Coverage
    first_wins: Interval | None
    longer_wins: Interval | None
    others_longer_wins: Interval | None
    longer_beyond: Interval | None
    agreement: Interval | None
    suspicions: tuple[Suspicion, ...]

    @property
    def flags(self) -> list[str]:
        """What is said of them, if anything."""
        return [suspicion.words for suspicion in self.suspicions if suspicion.is_flagged]


def audit_annotator(
    name: str,
    events: Sequence[FeedbackEvent],
    opinions: Opinions,
    suspicions: Sequence[Suspicion],
    seed: int,
) -> AnnotatorAudit:
    """Measure one annotator.

    Args:
        name: Their pseudonym.
        events: Theirs alone.
        opinions: Of all annotators of the same population.
        suspicions: What the tests say of them.
        seed: Of the intervals, which are over comparisons and over questions.
    """
    leans = []
    for verdict in verdicts_of(events):
        signs = [sign for *_, sign in verdict.compared() if sign]
        leans.append((float(sum(sign > 0 for sign in signs)), float(len(signs))))
    beside = [beside_others(name, by_annotator) for by_annotator in opinions.values() if name in by_annotator]
    longer, others_longer, same = zip(*beside, strict=True) if beside else ((), (), ())
    beyond = [(own - others, count) for (own, count), (others, _) in zip(longer, others_longer, strict=True)]
    return AnnotatorAudit(
        name=name,
        coverage=cover("all", events),
        first_wins=_share(leans, seed),
        longer_wins=_share(longer, seed),
        others_longer_wins=_share(others_longer, seed),
        longer_beyond=_share(beyond, seed),
        agreement=_share(same, seed),
        suspicions=tuple(suspicions),
    )


def beside_others(name: str, by_annotator: Mapping[str, Mapping[AnswerPair, int]]) -> tuple[Part, Part, Part]:
    """One question: how often the longer won with an annotator and with others, and how often they agree.

    The first two are of pairs of answers that somebody else judged too; what others say of one is averaged.
    """
    longer, others_longer, same = 0.0, 0.0, 0.0
    lengths, opinions = 0, 0
    others = [opinion for other, opinion in by_annotator.items() if other != name]
    for pair, sign in by_annotator[name].items():
        theirs = [opinion[pair] for opinion in others if pair in opinion]
        same += sum(other == sign for other in theirs)
        opinions += len(theirs)
        first, second = map(len, pair)
        if theirs and first != second:
            direction = 1 if first > second else -1
            longer += (1 + direction * sign) / 2
            others_longer += (1 + direction * sum(theirs) / len(theirs)) / 2
            lengths += 1
    return (longer, lengths), (others_longer, lengths), (same, opinions)


def _share(parts: Sequence[Part], seed: int) -> Interval | None:
    """A ratio of sums with its bootstrap interval; None if nothing could have happened."""
    usable = np.array([part for part in parts if part[1]], dtype=np.float64)
    return bootstrap_ratio(usable[:, 0], usable[:, 1], RESAMPLES, seed) if len(usable) else None
