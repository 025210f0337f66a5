"""What the teacher writes and thinks: the sections `label` and `score`."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from configs.schema_endpoint import EndpointSection
from configs.section import Count, Precision, Section, Share

Decoding = Literal["greedy", "sampled", "beam"]
FilterName = Literal["length", "repetition", "stopped", "refusal", "facts"]


class LabelConfig(EndpointSection):
    """What the teacher writes, and which of it is fit to learn from."""

    section_name: ClassVar[str] = "label"

    open_questions: int = Field(ge=0, description="open questions that the teacher answers")
    answered_share: Share = Field(
        description="share of the training contexts with gold answers whose questions the teacher answers too"
    )
    samples: Count = Field(description="answers to each question; above 1 they are `sampled`")
    keep: Literal["first", "all"] = Field(description="which of a question's answers that survive are kept")
    decoding: Decoding = Field(
        description="greedy: the likeliest token; sampled: at random; beam: the likeliest of several answers"
    )
    beams: int = Field(ge=2, le=64, description="beam: answers that are pursued side by side")
    temperature: float = Field(gt=0, le=2, description="sampled: logits are divided by it")
    max_new_tokens: Count = Field(description="longest teacher answer, tokens")
    filters: tuple[FilterName, ...] = Field(
        description="what answers must pass, in this order; each is dropped by the first that it fails"
    )
    min_words: int = Field(ge=0, description="length: shorter answers are dropped, words")
    max_words: Count = Field(description="length: longer answers are dropped, words")
    max_repetition: Share = Field(
        description="repetition: answers are dropped if more of their 3-grams were said before; also if four "
        "words in a row come three times"
    )
    precision: Precision = Field(description="arithmetic of the local teacher")

    @model_validator(mode="after")
    def _samples_differ(self) -> "LabelConfig":
        if self.decoding != "sampled" and self.samples > 1:
            raise ValueError(
                f"`label.decoding` {self.decoding} gives one answer: "
                f"`label.samples` must be 1, got {self.samples}"
            )
        return self

    @model_validator(mode="after")
    def _lengths_agree(self) -> "LabelConfig":
        if self.min_words > self.max_words:
            raise ValueError(f"`label.min_words` {self.min_words} exceeds `label.max_words` {self.max_words}")
        return self

    @model_validator(mode="after")
    def _endpoint_does_not_search(self) -> "LabelConfig":
        if self.endpoint is not None and self.decoding == "beam":
            raise ValueError("`label.endpoint` cannot search: `label.decoding` must be greedy or sampled")
        return self


class ScoreConfig(Section):
    """What the teacher thinks of each token of an answer."""

    share: Share = Field(description="share of the training groups whose answers the teacher scores")
    top_k: int = Field(ge=1, le=1024, description="teacher tokens kept at each position of an answer")
    most_lost: Share = Field(
        description="largest share of the KL that `top_k` tokens may lose on a sample; else more are kept"
    )
    temperature: float = Field(
        gt=0, le=10, description="at which teacher and student are compared; 1: as they are"
    )
    token_budget: Count = Field(description="tokens in one teacher pass, padding included")
    precision: Precision = Field(description="arithmetic of the teacher")
