"""What the teacher writes and thinks: the sections `label` and `score`."""

from pydantic import Field

from configs.section import Count, Precision, Section, Share


class LabelConfig(Section):
    """What the teacher writes."""

    open_questions: int = Field(ge=0, description="open questions that the teacher answers")
    samples: Count = Field(
        description="answers sampled for each open question; the first that survives is kept"
    )
    max_new_tokens: Count = Field(description="longest teacher answer, tokens")
    temperature: float = Field(ge=0, le=2, description="of the teacher's answers; 0 is greedy")
    precision: Precision = Field(description="arithmetic of the teacher")


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
