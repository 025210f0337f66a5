"""One act of feedback: what was shown to whom, and what they said. People's and simulated ones alike."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.feedback.judgements import Correction, Judgement, Skip, Text, answers_judged

Source = Literal["simulated", "ai", "web", "import"]


class Shown(BaseModel):
    """One answer put before an annotator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    model: Text = Field(min_length=1, description="digest of the artifact of the model that wrote it")
    stopped: bool = Field(description="whether the answer ended by itself")


Placed = tuple[tuple[Shown, int | None], ...]


class FeedbackEvent(BaseModel):
    """A judgement of answers to one question.

    Attributes:
        id: Unique; an event with a known id is the same event again.
        row: Id of the question in the dataset, or of its own where it is in none.
        task: The family of the question; empty if it has none.
        prompt: The context and the question as shown.
        answers: In the order in which they were displayed.
        judgement: What the annotator said of them.
        annotator: A pseudonym.
        comment: What the annotator added.
        created_at: When, in ISO 8601; None for simulated events, which happened at no time.
        source: Where it came from.
        simulated: True if no person made it.
        comparison: Id of what was put to the annotator, if it was put by `retort feedback`.
        replaces: Id of an earlier event of the annotator that this one takes the place of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Text = Field(min_length=1, max_length=128)
    row: Text = Field(min_length=1)
    task: Text = ""
    prompt: Text
    answers: tuple[Shown, ...] = Field(min_length=1)
    judgement: Judgement
    annotator: Text = Field(min_length=1, max_length=128)
    comment: Text = ""
    created_at: Text | None = Field(max_length=40)
    source: Source
    simulated: bool
    comparison: Text | None = Field(default=None, max_length=64)
    replaces: Text | None = Field(default=None, max_length=128)

    @model_validator(mode="after")
    def _parts_agree(self) -> "FeedbackEvent":
        judged = answers_judged(self.judgement)
        if judged is not None and judged != len(self.answers):
            raise ValueError(f"{self.judgement.kind} of {judged} answers, but {len(self.answers)} were shown")
        if isinstance(self.judgement, Correction) and self.judgement.corrected >= len(self.answers):
            raise ValueError(f"answer {self.judgement.corrected} corrected of {len(self.answers)} shown")
        if self.source != "import" and (self.source in ("simulated", "ai")) != self.simulated:
            raise ValueError(f"`source` {self.source} contradicts `simulated` {self.simulated}")
        if self.replaces == self.id:
            raise ValueError("an event cannot replace itself")
        return self

    @property
    def placed(self) -> Placed:
        """Each answer that was judged with its rank: 1 is best, equal ranks tie, None is F.

        A correction stands above the answer that it mends; nothing is said of the others.
        """
        judgement = self.judgement
        if isinstance(judgement, Skip):
            return ()
        if isinstance(judgement, Correction):
            written = Shown(text=judgement.text, model=f"annotator:{self.annotator}", stopped=True)
            return ((written, 1), (self.answers[judgement.corrected], 2))
        return tuple(zip(self.answers, judgement.places, strict=True))


def standing(events: Iterable[FeedbackEvent]) -> list[FeedbackEvent]:
    """The events that hold: those that a later one of the same annotator replaces are left out."""
    listed = list(events)
    gone = {(event.annotator, event.replaces) for event in listed if event.replaces}
    return [event for event in listed if (event.annotator, event.id) not in gone]


def write_events(path: Path, events: Iterable[FeedbackEvent]) -> None:
    """Write events as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(event.model_dump_json() + "\n" for event in events)


def load_events(path: Path) -> list[FeedbackEvent]:
    """Read events that `write_events` wrote."""
    with path.open(encoding="utf-8") as file:
        return [FeedbackEvent.model_validate_json(line) for line in file]
