"""How models are compared on held-out questions: the section `evaluate`."""

from typing import ClassVar

from pydantic import Field, model_validator

from configs.schema_ai_feedback import JudgingSection
from configs.section import Count, Precision, Section


class WinJudgeConfig(JudgingSection):
    """A language model that says which of two models answered better, asked in both orders."""

    section_name: ClassVar[str] = "evaluate.judge"

    questions: int = Field(
        ge=0,
        description="held-out questions whose answers a language model judges, of each model beside the "
        "distilled one's; 0: off",
    )


class HarnessConfig(Section):
    """Tasks of lm-evaluation-harness from files on this machine."""

    tasks: tuple[str, ...] = Field(
        description="names of tasks in include_path that teacher, distilled and aligned model are put "
        "through; needs the extra `harness`"
    )
    include_path: str | None = Field(
        min_length=1,
        description="folder with the tasks' YAML files and data; code that they name is run. null: none",
    )
    limit: Count | None = Field(description="most examples of a task; null: all")

    @model_validator(mode="after")
    def _tasks_are_somewhere(self) -> "HarnessConfig":
        if self.tasks and self.include_path is None:
            raise ValueError(
                f"`evaluate.harness.tasks` {', '.join(self.tasks)} need `evaluate.harness.include_path`, the "
                "folder with their files: nothing is fetched from elsewhere"
            )
        return self


class EvaluateConfig(Section):
    """How models are compared on held-out questions."""

    questions: Count = Field(description="most held-out questions")
    reference_questions: Count = Field(
        description="questions, of whole contexts, that teacher and unrefined student answer too"
    )
    max_new_tokens: Count = Field(description="longest answer, tokens")
    rows: Count = Field(description="answers decoded side by side")
    shots: int = Field(ge=0, le=16, description="worked examples of the few-shot prompt")
    likelihood_questions: Count = Field(description="questions on which perplexity and KL are measured")
    speed_rows: Count = Field(description="answers decoded side by side to measure speed")
    speed_tokens: Count = Field(description="tokens of each of them")
    speed_repeats: Count = Field(description="times that speed is measured")
    latency_questions: Count = Field(
        description="questions answered one alone, of as many contexts, to measure latency"
    )
    resamples: int = Field(ge=100, description="bootstrap resamples of an interval")
    flips: int = Field(
        ge=999,
        description="random sets of contexts behind a comparison; its p-value is at least 2 / (1 + flips)",
    )
    samples_shown: Count = Field(description="questions whose answers the report shows")
    precision: Precision = Field(description="arithmetic of the matrix products")
    judge: WinJudgeConfig
    harness: HarnessConfig

    @model_validator(mode="after")
    def _all_answer_what_is_judged(self) -> "EvaluateConfig":
        if self.judge.questions > min(self.questions, self.reference_questions):
            raise ValueError(
                f"`evaluate.judge.questions` {self.judge.questions} exceeds `evaluate.reference_questions` "
                f"{self.reference_questions}, of which all models' answers are known"
            )
        return self
