"""When new prompts and feedback count as drifted from what a model was trained on: the section `drift`."""

from typing import Literal

from pydantic import Field, model_validator

from configs.section import Count, Precision, Section, Share


class DriftLimit(Section):
    """From which size on a shift that is surely there matters."""

    warn: Share = Field(description="shift beyond chance from which the verdict is warn")
    stop: Share = Field(description="shift beyond chance from which it is stop; 1: never")

    @model_validator(mode="after")
    def _warns_first(self) -> "DriftLimit":
        if self.warn > self.stop:
            raise ValueError(f"a limit's `warn` {self.warn} must not exceed its `stop` {self.stop}")
        return self


class DriftLimits(Section):
    """Limits of each measure; all measures lie between 0 (the same) and 1."""

    length: DriftLimit = Field(description="largest gap between the two distributions of words a prompt")
    unknown_words: DriftLimit = Field(description="share of the words of prompts that training does not know")
    vocabulary: DriftLimit = Field(description="Jensen-Shannon divergence of the words of prompts, bits")
    tasks: DriftLimit = Field(description="share of the prompts that would have to be of another task")
    embedding: DriftLimit = Field(
        description="energy coefficient of the prompts as the student sees them; see `docs/nightly.md`"
    )
    judgements: DriftLimit = Field(
        description="difference of the share of answers marked F, of ties, of thumbs down or of skips"
    )


class DriftConfig(Section):
    """How new feedback is compared with the training set before a model learns from it."""

    gate: Literal["stop", "warn"] = Field(
        description="what a night does on the verdict stop: stop: it learns nothing and keeps the champion; "
        "warn: it goes on and says so"
    )
    level: float = Field(
        gt=0,
        le=0.2,
        description="share of the nights without drift on which some shift is called sure all the same",
    )
    draws: int = Field(ge=199, le=99999, description="draws that show how large a shift is by chance")
    questions: Count = Field(
        description="most questions, and most judgements, of either side that are compared"
    )
    embedded_questions: int = Field(
        ge=0, description="most questions of either side that the student reads; 0: no embedding"
    )
    precision: Precision = Field(description="arithmetic of the student while it reads")
    limits: DriftLimits
