"""What feedback is worth: agreement, bias, contradictions and coverage; people, AI and simulations apart."""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from tasks.feedback.agreement import Alpha, PairAgreement, alphas, pairwise_agreement
from tasks.feedback.annotator_audit import AnnotatorAudit, audit_annotator
from tasks.feedback.checks import Suspicion, check_annotators
from tasks.feedback.contradictions import Contradictions, find_contradictions
from tasks.feedback.coverage import Coverage, cover, cover_parts, group_by
from tasks.feedback.events import FeedbackEvent, standing
from tasks.feedback.judgements import Skip
from tasks.feedback.verdicts import POPULATIONS, Population, opinions_of, population_of, verdicts_of


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PopulationAudit(_Frozen):
    """The feedback of people, of AI, or of simulated annotators; never of two of them together.

    Attributes:
        population: Whose it is.
        coverage: All of it.
        by_source: Each source.
        by_task: Each family of questions.
        judges: For each number of annotators, how many questions had that many.
        overlap_share: Share of the questions that two annotators or more judged.
        shown: For each model, how often an answer of it was shown.
        alphas: Agreement of all.
        pairs: Agreement of each two.
        contradictions: Where judgements contradict each other.
        annotators: Each annotator, by name.
    """

    population: Population
    coverage: Coverage
    by_source: tuple[Coverage, ...]
    by_task: tuple[Coverage, ...]
    judges: dict[int, int]
    overlap_share: float
    shown: dict[str, int]
    alphas: tuple[Alpha, ...]
    pairs: tuple[PairAgreement, ...]
    contradictions: Contradictions
    annotators: tuple[AnnotatorAudit, ...]

    @property
    def flagged(self) -> list[AnnotatorAudit]:
        """Annotators of whom something is said."""
        return [annotator for annotator in self.annotators if annotator.flags]


class FeedbackAudit(_Frozen):
    """The whole audit.

    Attributes:
        events: Acts of feedback given.
        replaced: Those that a later one of the same annotator replaces; they do not count.
        populations: One for each that there is: people, then AI, then simulated.
    """

    events: int
    replaced: int
    populations: tuple[PopulationAudit, ...]


def audit(events: Iterable[FeedbackEvent], seed: int) -> FeedbackAudit:
    """Audit events; replaced ones are left out. The same events and seed give the same figures.

    Args:
        events: In the order in which they came.
        seed: Of bootstrap draws, and of who is compared with whom.
    """
    listed = list(events)
    holding = standing(listed)
    return FeedbackAudit(
        events=len(listed),
        replaced=len(listed) - len(holding),
        populations=tuple(
            _audit_population(population, own, seed)
            for population in POPULATIONS
            if (own := [event for event in holding if population_of(event) == population])
        ),
    )


def headline(found: FeedbackAudit) -> dict[str, float | None]:
    """A few figures of each population, by names such as `people_alpha`; None where one is not defined."""
    figures: dict[str, float | None] = {}
    for part in found.populations:
        own = {
            "alpha": part.alphas[0].value,
            "tie_share": part.coverage.tie_share,
            "contradictions": part.contradictions.reversed + part.contradictions.circles,
            "disputed_pairs": part.contradictions.disputed,
            "flagged_annotators": len(part.flagged),
        }
        figures |= {f"{part.population}_{name}": value for name, value in own.items()}
    return figures


def _audit_population(population: Population, events: list[FeedbackEvent], seed: int) -> PopulationAudit:
    verdicts = verdicts_of(events)
    opinions = opinions_of(verdicts)
    suspicions: dict[str, list[Suspicion]] = {}
    for suspicion in check_annotators(events, verdicts, seed):
        suspicions.setdefault(suspicion.annotator, []).append(suspicion)
    judges: dict[str, set[str]] = {}
    for event in events:
        if not isinstance(event.judgement, Skip):
            judges.setdefault(event.row, set()).add(event.annotator)
    numbers = Counter(map(len, judges.values()))
    shown = Counter(answer.model for event in events for answer in event.answers)
    return PopulationAudit(
        population=population,
        coverage=cover("all", events),
        by_source=cover_parts(events, lambda event: event.source),
        by_task=cover_parts(events, lambda event: event.task),
        judges=dict(sorted(numbers.items())),
        overlap_share=1 - numbers[1] / len(judges) if judges else 0.0,
        shown=dict(shown.most_common()),
        alphas=tuple(alphas(events, verdicts, seed)),
        pairs=tuple(pairwise_agreement(opinions)),
        contradictions=find_contradictions(verdicts, opinions),
        annotators=tuple(
            audit_annotator(name, own, opinions, suspicions.get(name, ()), seed)
            for name, own in sorted(group_by(events, lambda event: event.annotator).items())
        ),
    )
