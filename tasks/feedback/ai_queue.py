"""What a model is to judge and to revise of what the feedback store holds: people's pairs first."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from configs.principles import Principle
from tasks.feedback.ai_judge import Pairing, event_id
from tasks.feedback.ai_revise import Draft, correction_id
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store.comparisons import Comparison


def pairings_in(events: Iterable[FeedbackEvent], waiting: Iterable[Comparison]) -> Iterator[Pairing]:
    """Every pair that people judged, so that the model can be held against them; then those that wait."""
    for event in events:
        if not event.simulated and event.source != "ai":
            answers = [answer for answer, _ in event.placed]
            for first, second in combinations(answers, 2):
                yield Pairing(event.row, event.task, event.prompt, first, second)
    for comparison in waiting:
        for first, second in combinations(comparison.answers, 2):
            yield Pairing(comparison.row, comparison.task, comparison.prompt, first, second)


def not_judged(
    pairings: Iterable[Pairing], judge: str, principles: Sequence[Principle], known: set[str], most: int
) -> list[Pairing]:
    """The first pairs of two texts that this judge has not judged by these principles, each once.

    Args:
        pairings: In the order in which they are wanted.
        judge: Its name.
        principles: By which it judges.
        known: Ids of its events.
        most: How many are wanted.
    """
    found: dict[str, Pairing] = {}
    for pairing in pairings:
        id = event_id(judge, pairing, principles)
        if len(found) < most and id not in known and pairing.first.text != pairing.second.text:
            found.setdefault(id, pairing)
    return list(found.values())


def not_revised(
    pairings: Iterable[Pairing], name: str, principles: Sequence[Principle], known: set[str], most: int
) -> list[Draft]:
    """The first answers that no correction of this model by these principles mends, each once."""
    found: dict[str, Draft] = {}
    for pairing in pairings:
        for answer in (pairing.first, pairing.second):
            draft = Draft(pairing.row, pairing.task, pairing.prompt, answer)
            id = correction_id(name, draft, principles)
            if len(found) < most and id not in known:
                found.setdefault(id, draft)
    return list(found.values())
