"""Ways of fine-tuning a student. `prepare` decides what learns, `finish` gives a plain model back.

    way          what learns                                        what becomes of it
    full         everything                                         -
    last_layer   the language-model head, on frozen features        a head that is not tied any more
    top_layers   the last transformer layers and the final norm     -
    lora         low-rank adapters on all linear layers             merged
    qlora        the same, on weights of 4 bits                     merged with the 4-bit weights
    ia3          a factor for each key, value and FFN activation    folded into the weights
    prompt       embeddings of new tokens before every prompt       rows of the embedding
    sparse_mask  the weights of largest gradient                    put back among the others

Whatever the way, `model.model` and `model.lm_head` stay what a packed forward pass expects of them. A tied
head is frozen with its embedding wherever the embedding is.
"""

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from configs.schema_distill import DistillConfig
from configs.schema_tuning import TuningConfig
from tasks.ml.ia3 import add_factors, fold_factors
from tasks.ml.lora import add_adapters, linear_names, without_adapters
from tasks.ml.models import untie_head
from tasks.ml.precision import is_bf16
from tasks.ml.qlora import add_quantised_adapters, without_quantised_adapters
from tasks.ml.soft_prompt import add_soft_prompt, settle_soft_prompt
from tasks.ml.sparse_mask import remove_mask


def prepare(model: Any, tokenizer: PreTrainedTokenizerBase, config: DistillConfig, seed: int) -> None:
    """Make a causal language model trainable in the way of the configuration, in place.

    With `prompt` the tokenizer gets new tokens too, so it must not have encoded anything yet. With
    `sparse_mask` the linear layers can learn afterwards, until `add_mask` chooses among their weights.

    Args:
        model: With `model.layers`, `model.norm` and a head, in fp32.
        tokenizer: Of the model.
        config: Its section `tuning`, and the precision of the products.
        seed: Of the adapters' first weights.
    """
    tuning = config.tuning
    dtype = torch.bfloat16 if is_bf16(config.precision) else torch.float32
    match tuning.way:
        case "full":
            pass
        case "last_layer":
            untie_head(model)
            _train_only(model, model.lm_head)
        case "top_layers":
            _train_only(model, *model.model.layers[-tuning.layers :], model.model.norm)
        case "lora":
            add_adapters(model, tuning.rank, tuning.alpha / tuning.rank, dtype, seed)
        case "qlora":
            add_quantised_adapters(model, tuning.rank, tuning.alpha, dtype, seed)
        case "ia3":
            add_factors(model)
        case "prompt":
            add_soft_prompt(model, tokenizer, tuning.prompt_tokens)
        case "sparse_mask":
            names = linear_names(model, range(len(model.model.layers)))
            _train_only(model, *(model.get_submodule(name).weight for name in names))


def finish(model: Any, tuning: TuningConfig) -> None:
    """Make a plain model, all of whose weights can learn, of what `prepare` made, in place."""
    match tuning.way:
        case "lora":
            without_adapters(model)
        case "qlora":
            without_quantised_adapters(model)
        case "ia3":
            fold_factors(model)
        case "prompt":
            settle_soft_prompt(model)
        case "sparse_mask":
            remove_mask(model)
    model.requires_grad_(True)


def _train_only(model: torch.nn.Module, *parts: torch.nn.Module | torch.nn.Parameter) -> None:
    model.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
