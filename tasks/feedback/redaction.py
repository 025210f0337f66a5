"""Feedback without personal data: what people typed enters training as rows do."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from configs.schema import DataConfig
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Correction
from tasks.ml.personal_data import redact


@dataclass(frozen=True)
class RedactedEvents:
    """Events that may enter training.

    Attributes:
        events: In the order in which they came.
        counts: Number of finds by kind of personal data.
        touched: Number of events that were changed or dropped.
    """

    events: list[FeedbackEvent]
    counts: Counter[str]
    touched: int

    def summary(self) -> dict[str, int]:
        """For a stage's summary; empty if nothing was found."""
        if not self.touched:
            return {}
        return {"personal_data": sum(self.counts.values()), "personal_data_events": self.touched}


def redact_events(events: Iterable[FeedbackEvent], config: DataConfig) -> RedactedEvents:
    """Do what `data.personal_data` says to prompts, answers, corrections and comments."""
    if config.personal_data == "keep":
        return RedactedEvents(list(events), Counter(), 0)
    kept, counts, touched = [], Counter[str](), 0
    for event in events:
        clean, found = _redacted(event, config.phone_regions)
        counts += found
        touched += bool(found)
        if not found or config.personal_data == "redact":
            kept.append(clean)
    return RedactedEvents(kept, counts, touched)


def _redacted(event: FeedbackEvent, regions: tuple[str, ...]) -> tuple[FeedbackEvent, Counter[str]]:
    counts: Counter[str] = Counter()

    def without(text: str) -> str:
        redacted = redact(text, regions)
        counts.update(redacted.counts)
        return redacted.text

    answers = tuple(shown.model_copy(update={"text": without(shown.text)}) for shown in event.answers)
    judgement = event.judgement
    if isinstance(judgement, Correction):
        judgement = judgement.model_copy(update={"text": without(judgement.text)})
    parts = {"prompt": without(event.prompt), "comment": without(event.comment)}
    changed = event.model_copy(update={**parts, "answers": answers, "judgement": judgement})
    return (changed, counts) if counts else (event, counts)
