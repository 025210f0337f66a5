"""Which weights of the student learn: the section `distill.tuning`."""

from typing import Literal

from pydantic import Field

from configs.section import Count, Section


class TuningConfig(Section):
    """The way of fine-tuning; what comes out of it is a plain model each time."""

    way: Literal["full", "last_layer", "top_layers", "lora", "qlora", "ia3", "prompt", "sparse_mask"] = Field(
        description="full: all weights learn; last_layer: the language-model head, untied from the "
        "embedding; top_layers: the last transformer layers and the final norm; lora: low-rank adapters; "
        "qlora: the same on weights of 4 bits (NF4); ia3: factors on keys, values and feed-forward "
        "activations; prompt: embeddings of new tokens before every prompt; sparse_mask: the weights of "
        "largest gradient. last_layer and prompt give a student whose head counts as parameters of its own"
    )
    layers: Count = Field(description="top_layers: how many learn")
    rank: int = Field(ge=1, le=512, description="lora, qlora: rank of the adapters")
    alpha: float = Field(gt=0, description="lora, qlora: the adapters' scale is alpha over rank")
    prompt_tokens: int = Field(ge=1, le=256, description="prompt: new tokens before every prompt")
    mask_share: float = Field(
        gt=0, le=1, description="sparse_mask: share of the linear layers' weights that learn"
    )
