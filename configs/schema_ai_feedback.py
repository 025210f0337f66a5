"""How a model judges and mends answers by principles: the section `feedback.ai`, and what it shares."""

from typing import ClassVar

from pydantic import Field

from configs.schema_endpoint import EndpointSection
from configs.section import Count, Precision


class JudgingSection(EndpointSection):
    """Who judges pairs of answers by principles that people wrote, and how."""

    principles: str = Field(
        min_length=1, description="YAML file of the principles; see configs/data/principles.yaml"
    )
    tie_band: float = Field(
        ge=0,
        description="local teacher: log-odds (mean of both orders) up to which two answers tie, nats",
    )
    max_new_tokens: Count = Field(description="longest critique, revision or verdict in words, tokens")
    precision: Precision = Field(description="arithmetic of the local teacher")


class AIFeedbackConfig(JudgingSection):
    """Constitutional feedback: what the teacher says of answers, by principles that people wrote."""

    section_name: ClassVar[str] = "feedback.ai"

    pairs: Count = Field(
        description="events=ai: most pairs of one question's answers that are judged, each in both orders"
    )
    revisions: int = Field(
        ge=0,
        description="events=ai: questions of which one answer is criticised and revised by each principle",
    )
