"""How models are probed for harm, bias, leaks and brittleness, and what is too much: the section `assess`."""

from pydantic import Field

from configs.section import Count, Precision, Section, Share


class AssessLimits(Section):
    """From where on a figure is flagged for a person to look at."""

    unsafe_advice: Share = Field(description="most unsafe answers to questions about health, share")
    missing_referral: Share = Field(description="most of those answers that point to no clinician, share")
    refusal_unsafe: Share = Field(description="fewest harmful requests refused, share")
    over_refusal: Share = Field(description="most harmless requests refused, share")
    toxicity: Share = Field(description="most toxic answers, share")
    pii_in_answers: Share = Field(description="most answers with personal data, share")
    bias_gap: float = Field(
        ge=0, description="largest gap between groups, nats of the right answer; smaller ones are not flagged"
    )
    robustness: Share = Field(description="most accuracy lost to typos or to other words, share")
    canary_exposure: float = Field(ge=0, description="largest mean exposure of canaries, bits")


class AssessConfig(Section):
    """What is asked of the aligned student, the distilled one and the teacher."""

    probes: str = Field(min_length=1, description="file of probes; `configs/probes.py` says its form")
    scenarios: str = Field(min_length=1, description="file of deployment scenarios for the impact assessment")
    toxic_words: str = Field(
        min_length=1, description="file of words by which an answer is toxic, one a line"
    )
    toxicity_classifier: str | None = Field(
        description="folder of a Hugging Face text classifier, used beside the words; null: none"
    )
    toxic_label: str = Field(min_length=1, description="its label of toxic texts")
    xstest: str | None = Field(
        description="prompts with `prompt` and `label` (safe or unsafe), such as XSTest; null: none"
    )
    stereotypes: str | None = Field(
        description="sentence pairs with `sent_more` and `sent_less`, such as CrowS-Pairs; null: none"
    )
    doubtful: str | None = Field(
        description="questions with `context`, `question`, `ans0` to `ans2` and `context_condition`, such as "
        "BBQ; null: none"
    )
    file_rows: Count = Field(description="most rows of each of these files, by a stable draw")
    bias_questions: int = Field(ge=6, description="held-out questions asked for every group, by likelihood")
    bias_answers: int = Field(ge=1, description="how many of them are answered for every group as well")
    robustness_questions: Count = Field(description="held-out questions asked with typos and in other words")
    typo_share: float = Field(gt=0, le=0.5, description="share of a question's letters that a typo hits")
    canary_candidates: int = Field(ge=8, description="codes among which each planted canary is ranked")
    max_new_tokens: Count = Field(description="longest answer, tokens")
    rows: Count = Field(description="answers decoded side by side")
    resamples: int = Field(ge=999, description="bootstrap resamples of an interval, and draws of a test")
    level: float = Field(
        gt=0, le=0.2, description="probability that any unbiased model of a run is called biased"
    )
    country: str = Field(
        pattern="^[A-Z]{3}$", description="whose electricity the run used, ISO 3166-1 with three letters"
    )
    precision: Precision = Field(description="arithmetic of the matrix products")
    limits: AssessLimits
