"""One act of feedback: what was shown to whom, and what they said. People's and simulated ones alike."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Shown(BaseModel):
    """One answer put before an annotator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    model: str = Field(min_length=1, description="digest of the artifact of the model that wrote it")
    stopped: bool = Field(description="whether the answer ended by itself")


class FeedbackEvent(BaseModel):
    """A ranking, with ties and fails, of answers to one question.

    Attributes:
        id: Unique; an event with a known id is the same event again.
        row: Id of the question in the dataset.
        prompt: The context and the question as shown.
        answers: In the order in which they were displayed.
        ranks: One rank an answer, 1 is best, equal ranks are ties; None is F: no answer at all.
        annotator: A pseudonym.
        comment: What the annotator added.
        created_at: When, in ISO 8601; None for simulated events, which happened at no time.
        source: Where it came from.
        simulated: True if no person made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    row: str = Field(min_length=1)
    prompt: str
    answers: tuple[Shown, ...] = Field(min_length=2)
    ranks: tuple[int | None, ...]
    annotator: str = Field(min_length=1)
    comment: str = ""
    created_at: str | None
    source: Literal["simulated", "web", "import"]
    simulated: bool

    @model_validator(mode="after")
    def _ranks_fit(self) -> "FeedbackEvent":
        if len(self.ranks) != len(self.answers):
            raise ValueError(f"{len(self.ranks)} ranks for {len(self.answers)} answers")
        if (self.source == "simulated") != self.simulated:
            raise ValueError(f"`source` {self.source} contradicts `simulated` {self.simulated}")
        if any(rank is not None and rank < 1 for rank in self.ranks):
            raise ValueError("ranks start at 1")
        return self


def write_events(path: Path, events: list[FeedbackEvent]) -> None:
    """Write events as JSON lines."""
    path.write_text("".join(event.model_dump_json() + "\n" for event in events), encoding="utf-8")


def load_events(path: Path) -> list[FeedbackEvent]:
    """Read events that `write_events` wrote."""
    with path.open(encoding="utf-8") as file:
        return [FeedbackEvent.model_validate_json(line) for line in file]
