"""QLoRA (Dettmers et al. 2023): low-rank adapters on weights of 4 bits, of which every pass makes real ones.

The linear layers of the transformer layers are kept as NF4 with doubly quantised scales, an eighth of fp32;
the embedding and the norms stay as they are. The adapters learn around what quantisation took away, so what
is merged in the end is the 4-bit weight and not the one from before.

Both libraries are loaded only here: they take seconds and are needed for this one way.
"""

from typing import Any

import torch

from tasks.ml.lora import linear_names

_ADAPTER = "default"


def add_quantised_adapters(
    language_model: Any, rank: int, alpha: float, dtype: torch.dtype, seed: int
) -> None:
    """Quantise the linear layers of a causal language model's transformer layers and put adapters on them.

    Args:
        language_model: Everything but the adapters is frozen.
        rank: Of the adapters.
        alpha: Their scale is alpha over rank.
        dtype: In which to compute.
        seed: Of their first weights.
    """
    from peft import LoraConfig, inject_adapter_in_model

    language_model.requires_grad_(False)
    names = list(linear_names(language_model, range(len(language_model.model.layers))))
    for name in names:
        language_model.set_submodule(name, _quantised(language_model.get_submodule(name), dtype))
    language_model.is_loaded_in_4bit = True  # where peft looks for it
    adapters = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)  # type: ignore[arg-type]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(adapters, language_model, _ADAPTER)


def without_quantised_adapters(language_model: Any) -> None:
    """Put plain fp32 layers back: what 4 bits kept of each weight, and its adapter."""
    from bitsandbytes.functional import dequantize_4bit
    from peft.tuners.lora import LoraLayer

    for name, module in list(language_model.named_modules()):
        if isinstance(module, LoraLayer):
            adapted: Any = module
            base = adapted.get_base_layer()
            kept = dequantize_4bit(base.weight.data, base.weight.quant_state).float()
            plain = torch.nn.Linear(kept.shape[1], kept.shape[0], bias=False, device="meta")
            plain.weight = torch.nn.Parameter(kept + adapted.get_delta_weight(_ADAPTER))
            plain.bias = base.bias
            language_model.set_submodule(name, plain)
    del language_model.is_loaded_in_4bit, language_model.peft_config


def _quantised(layer: torch.nn.Linear, dtype: torch.dtype) -> Any:
    from bitsandbytes.nn import modules

    bits: Any = modules
    small = bits.LinearNF4(layer.in_features, layer.out_features, False, compute_dtype=dtype, device="meta")
    weight = bits.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4", module=small)
    small.weight, small.bias = weight.to("cpu"), layer.bias
    # It would lay the weights out anew for validation, in a form that nothing else here can read.
    small.support_avx512bf16_for_cpu = False
    return small
