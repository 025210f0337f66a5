"""What the student is: the section `student`."""

from typing import Literal

from pydantic import Field, model_validator

from configs.section import Count, Section

WIDTHS = ("kv_heads", "ffn_channels", "hidden_channels")


class StudentConfig(Section):
    """The small model: cut out of the teacher, of the same shape but random, or one that others trained."""

    kind: Literal["pruned", "random", "pretrained"] = Field(
        description="pruned: cut out of the teacher; random: the shape that pruning would give, with random "
        "weights; pretrained: the model at `source`"
    )
    source: str | None = Field(
        min_length=1,
        description="pretrained: a model folder, a Hugging Face id, a GGUF file, package:NAME, or "
        "random:tiny; else null",
    )
    revision: str = Field(description="pretrained: revision of a Hugging Face id")
    layers: Count = Field(description="pruned, random: layers of the student")
    layer_choice: Literal["influence", "similarity", "even"] = Field(
        description="pruned: influence: the layers that change their input most stay; similarity: the "
        "block of layers that changes its input least goes; even: evenly spaced layers stay"
    )
    kv_heads: Count | None = Field(
        description="pruned, random: key-value heads of a layer, each with its query heads; null: all"
    )
    ffn_channels: Count | None = Field(
        description="pruned, random: inner channels of a feed-forward block; null: all"
    )
    hidden_channels: Count | None = Field(
        description="pruned, random: channels of the embedding and between layers; null: all"
    )
    vocabulary: Literal["trimmed", "full"] = Field(
        description="pruned, random: trimmed: the tokens that the domain's texts need; full: all tokens "
        "of the teacher"
    )
    calibration_tokens: Count = Field(
        description="pruned: tokens on which the importance of layers and channels is measured"
    )
    max_parameters: Count = Field(description="a larger student is refused, parameters")

    @model_validator(mode="after")
    def _source_fits_kind(self) -> "StudentConfig":
        if self.kind == "pretrained" and self.source is None:
            raise ValueError("`student.kind` pretrained needs a model in `student.source`, which is null")
        if self.kind != "pretrained" and self.source is not None:
            raise ValueError(f"`student.source` {self.source} is not read by `student.kind` {self.kind}")
        return self
