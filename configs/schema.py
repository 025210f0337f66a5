"""The shape of a configuration: one frozen tree, every value typed, bounded and with its unit.

Defaults live in `base.yaml`, not here, so that a value is written down once. A section is what a stage's
cache key holds: a value that changes what a stage computes belongs into a section that the stage reads,
and a value that does not (a path of this machine, a server's address) into `schema_platform`.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.schema_ai_feedback import AIFeedbackConfig
from configs.schema_assess import AssessConfig
from configs.schema_distill import DistillConfig
from configs.schema_dpo import DPOConfig
from configs.schema_drift import DriftConfig
from configs.schema_evaluate import EvaluateConfig
from configs.schema_label import LabelConfig, ScoreConfig
from configs.schema_nightly import CollectConfig, NightlyConfig
from configs.schema_ppo import PPOConfig
from configs.schema_promotion import PromotionConfig
from configs.schema_report import ReportConfig
from configs.schema_reward import RewardConfig
from configs.schema_student import StudentConfig
from configs.section import Count, Precision, Section, Share

# What `feedback.events` says for the feedback store, wherever that is, and for the teacher's judgements.
FEEDBACK_STORE = "store"
FEEDBACK_AI = "ai"


class SheetCounts(Section):
    """How many fact sheets a split gets."""

    train: Count
    valid: Count
    test: Count


class DataConfig(Section):
    """Where questions come from and what is done to them."""

    kind: Literal["facts", "pairs"] = Field(
        description="facts: build questions from a fact table; pairs: read prompts and answers"
    )
    source: str = Field(min_length=1, description="a path, an s3:// uri or hf:owner/name[/config][@split]")
    prompt_column: str = Field(description="pairs: column with the question")
    answer_column: str = Field(description="pairs: column with the gold answer")
    group_column: str | None = Field(
        description="pairs: column whose values never cross a split; null: the prompt"
    )
    general: str | None = Field(
        description="general instructions with answers, to measure forgetting and to replay; null: none"
    )
    general_prompt_column: str = Field(description="column with the instruction")
    general_answer_column: str = Field(description="column with its answer")
    general_context_column: str | None = Field(
        description="column with the text that the instruction is about, where it has one; null: none"
    )
    single_sheets: SheetCounts = Field(description="facts: sheets about one food, by split")
    pair_sheets: SheetCounts = Field(description="facts: sheets about two foods, by split")
    single_nutrients: int = Field(ge=2, le=12, description="facts: nutrients shown on a sheet about one food")
    pair_nutrients: int = Field(ge=2, le=12, description="facts: nutrients shown on a sheet about two foods")
    single_plan: tuple[str, ...] = Field(
        description="facts: question families asked of a sheet about one food"
    )
    pair_plan: tuple[str, ...] = Field(
        description="facts: question families asked of a sheet about two foods"
    )
    wordy_share: Share = Field(description="facts: share of gold answers that end with a courtesy")
    clinician_share: Share = Field(
        description="facts: share of medical gold answers that point to a clinician"
    )
    valid_share: Share = Field(description="share of groups (foods) in the validation split")
    test_share: Share = Field(description="share of groups (foods) in the test split")
    min_answer_chars: int = Field(ge=1, description="shorter answers are dropped, characters")
    max_prompt_chars: Count = Field(description="longer prompts are dropped, characters")
    max_answer_chars: Count = Field(description="longer answers are dropped, characters")
    near_duplicate: Share = Field(
        description="prompts whose word 3-grams overlap more (Jaccard) are dropped; 1: off"
    )
    max_rows: Count = Field(description="most rows kept, by a stable draw")
    personal_data: Literal["redact", "drop", "keep"] = Field(
        description="what is done to e-mail addresses, telephone numbers, accounts, cards, social security "
        "numbers and IP addresses in rows and in feedback: redact: a placeholder takes their place; "
        "drop: the row or the judgement goes; keep: nothing"
    )
    phone_regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = Field(
        description="countries whose telephone numbers are found without the country's code"
    )
    canaries: int = Field(
        ge=0, le=1000, description="secrets planted in the training rows to measure memorisation; 0: none"
    )
    canary_repeats: int = Field(ge=1, le=100, description="times that each of them comes")

    @model_validator(mode="after")
    def _splits_leave_training_data(self) -> "DataConfig":
        if self.valid_share + self.test_share > 0.9:
            raise ValueError(
                f"`data.valid_share` {self.valid_share} and `data.test_share` {self.test_share} "
                "leave under 10 % for training"
            )
        return self


class TeacherConfig(Section):
    """The large model."""

    source: str = Field(
        min_length=1,
        description="package:NAME (a GGUF file in a Python package), a GGUF file, a model folder, "
        "a Hugging Face id, or random:tiny",
    )
    revision: str = Field(description="revision of a Hugging Face id")


class FeedbackConfig(Section):
    """Where preferences come from."""

    events: str | None = Field(
        description="store: the feedback store; ai: the teacher judges by principles; or a JSONL file of "
        "events; null: simulated annotators"
    )
    prompts: Count = Field(description="training questions put to annotators")
    samples: int = Field(ge=2, le=9, description="answers shown for each question")
    temperature: float = Field(gt=0, le=2, description="of the student's answers")
    max_new_tokens: Count = Field(description="longest answer, tokens")
    annotators: Count = Field(description="simulated annotators; each question is put to some of them")
    annotators_per_prompt: Count = Field(description="simulated annotators who see one question")
    noise: float = Field(ge=0, description="standard deviation of an annotator's error, in units of utility")
    bias: float = Field(
        ge=0, description="spread of the annotators' own taste for length, utility per ten words"
    )
    tie_gap: float = Field(
        ge=0, description="answers whose perceived utilities are closer are ranked as tied"
    )
    fail_below: float = Field(ge=0, description="perceived utility below which an answer gets an F")
    precision: Precision = Field(description="arithmetic of the student while it answers")
    ai: AIFeedbackConfig


class RunConfig(Section):
    """Everything that decides what a run computes."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,39}$", description="of the use case; names the registered model"
    )
    seed: int = Field(ge=0, description="of every draw")
    data: DataConfig
    teacher: TeacherConfig
    student: StudentConfig
    label: LabelConfig
    score: ScoreConfig
    distill: DistillConfig
    feedback: FeedbackConfig
    collect: CollectConfig
    align: Literal["ppo", "dpo"] = Field(
        description="how the student is aligned: ppo: with a reward model, as section ppo says; "
        "dpo: with the judgements themselves, as section dpo says"
    )
    reward: RewardConfig
    dpo: DPOConfig
    ppo: PPOConfig
    evaluate: EvaluateConfig
    assess: AssessConfig
    report: ReportConfig
    nightly: NightlyConfig
    promotion: PromotionConfig
    drift: DriftConfig

    @model_validator(mode="after")
    def _parts_agree(self) -> "RunConfig":
        for section in ("reward", "dpo", "ppo"):
            frozen = getattr(self, section).frozen_layers
            if self.student.kind != "pretrained" and frozen >= self.student.layers:
                raise ValueError(
                    f"`{section}.frozen_layers` {frozen} must be below `student.layers` {self.student.layers}"
                )
        if self.distill.mixture.replay_share and self.data.general is None:
            raise ValueError(
                f"`distill.mixture.replay_share` {self.distill.mixture.replay_share} needs `data.general`: "
                "there is nothing to replay"
            )
        tuning = self.distill.tuning
        if tuning.way == "top_layers" and tuning.layers > self.student.layers:
            raise ValueError(
                f"`distill.tuning.layers` {tuning.layers} exceeds `student.layers` {self.student.layers}"
            )
        if self.distill.on_policy.share and tuning.way in ("qlora", "prompt"):
            raise ValueError(
                f"`distill.on_policy.share` {self.distill.on_policy.share} does not go with "
                f"`distill.tuning.way` {tuning.way}: the student cannot answer while it learns that way"
            )
        if self.feedback.annotators_per_prompt > self.feedback.annotators:
            raise ValueError(
                f"`feedback.annotators_per_prompt` {self.feedback.annotators_per_prompt} exceeds "
                f"`feedback.annotators` {self.feedback.annotators}"
            )
        return self
