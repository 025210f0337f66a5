"""How far a model's judgements are to be trusted: by the order of display, and beside people's own."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tasks.feedback.ai_judge import Weighed
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Choice, Skip
from tasks.feedback.pairs import FAIL_RANK

RESAMPLES = 2000
FEWEST_QUESTIONS = 2  # from one, no interval can be drawn

# A question and two of its answers, the texts sorted.
PairKey = tuple[str, str, str]


@dataclass(frozen=True)
class Conduct:
    """What a model did with the pairs that it was asked about.

    Attributes:
        judged: Pairs.
        ties: Of them.
        unreadable: Pairs of which it could not be told what it thinks.
        swayed: Readable pairs on which it favoured one place in both orders, whichever answer stood there.
        swayed_to_first: Of them, those where it was the first place.
    """

    judged: int
    ties: int
    unreadable: int
    swayed: int
    swayed_to_first: int

    @property
    def swayed_share(self) -> float:
        """Of the readable pairs; 0 if there are none."""
        readable = self.judged - self.unreadable
        return self.swayed / readable if readable else 0.0


@dataclass(frozen=True)
class Agreement:
    """A model beside people, on the pairs that both judged; intervals of 95 % over questions.

    Attributes:
        pairs: How many.
        questions: To how many questions they belong.
        raw: Share of the pairs with the same verdict: one answer, the other, or a tie.
        raw_interval: Its interval.
        kappa: Cohen's kappa; None if both sides always said the same one thing, where it is undefined.
        kappa_interval: Its interval.
    """

    pairs: int
    questions: int
    raw: float
    raw_interval: tuple[float, float]
    kappa: float | None
    kappa_interval: tuple[float, float] | None


def by_ai(event: FeedbackEvent) -> bool:
    """Whether a model judged, and not a person nor a simulation of one."""
    return event.source == "ai"


def conduct(events: Iterable[FeedbackEvent]) -> Conduct:
    """Count what models did on pairs; their corrections do not count."""
    judged = [event for event in events if by_ai(event) and isinstance(event.judgement, Choice | Skip)]
    places = Counter(
        weighed.favoured_place for event in judged if (weighed := Weighed.from_comment(event.comment))
    )
    return Conduct(
        judged=len(judged),
        ties=sum(isinstance(e.judgement, Choice) and e.judgement.chosen is None for e in judged),
        unreadable=sum(isinstance(event.judgement, Skip) for event in judged),
        swayed=places[0] + places[1],
        swayed_to_first=places[0],
    )


def verdicts(events: Iterable[FeedbackEvent]) -> dict[PairKey, int]:
    """What the majority of some annotators says of each pair: 1 the first text, -1 the second, 0 a tie.

    The texts of a pair are sorted, so that neither its verdict nor its key depends on the order of display.
    """
    votes: dict[PairKey, int] = defaultdict(int)
    for event in events:
        placed = sorted((shown.text, FAIL_RANK if rank is None else rank) for shown, rank in event.placed)
        for (first, rank), (second, other) in combinations(placed, 2):
            if first != second:
                votes[event.prompt, first, second] += (rank < other) - (rank > other)
    return {key: (vote > 0) - (vote < 0) for key, vote in votes.items()}


def agree(events: Sequence[FeedbackEvent], seed: int) -> Agreement | None:
    """Models beside people; None if they have judged pairs of fewer than two questions in common.

    Args:
        events: Of all kinds.
        seed: Of the bootstrap over questions.
    """
    people = verdicts(event for event in events if not event.simulated and not by_ai(event))
    models = verdicts(event for event in events if by_ai(event))
    return agreement_of(
        {key: (people[key], models[key]) for key in sorted(people.keys() & models.keys())}, seed
    )


def agreement_of(both: dict[PairKey, tuple[int, int]], seed: int) -> Agreement | None:
    """Agreement of two verdicts a pair, each -1, 0 or 1; see `agree`."""
    prompts = {prompt: number for number, prompt in enumerate(dict.fromkeys(key[0] for key in both))}
    if len(prompts) < FEWEST_QUESTIONS:
        return None
    tables = np.zeros((len(prompts), 3, 3))
    for (prompt, *_), (one, other) in both.items():
        tables[prompts[prompt], one + 1, other + 1] += 1
    picks = np.random.default_rng(seed).integers(0, len(tables), size=(RESAMPLES, len(tables)))
    drawn = tables[picks].sum(1)
    whole = tables.sum(0, keepdims=True)
    kappa = kappas(whole)[0]
    return Agreement(
        pairs=len(both),
        questions=len(prompts),
        raw=float(shares_equal(whole)[0]),
        raw_interval=_interval(shares_equal(drawn)),
        kappa=None if np.isnan(kappa) else float(kappa),
        kappa_interval=None if np.isnan(kappa) else _interval(kappas(drawn)),
    )


def shares_equal(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share on the diagonal of each table. Shape [B, C, C] to [B]."""
    equal: NDArray[np.float64] = np.trace(tables, axis1=1, axis2=2) / tables.sum((1, 2))
    return equal


def kappas(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen's kappa of each table of counts, (p - e) / (1 - e); NaN where chance alone always agrees.

    p is the share of equal verdicts, e what it would be if both kept how often they give each verdict but
    gave them at random. Source: Cohen 1960.

    Args:
        tables: How often one said this and the other that. Shape [B, C, C].
    """
    total = tables.sum((1, 2))
    by_chance = (tables.sum(2) * tables.sum(1)).sum(1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = (shares_equal(tables) - by_chance) / (1 - by_chance)
    return np.where(by_chance < 1, found, np.nan)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
