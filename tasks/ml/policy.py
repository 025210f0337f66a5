"""The policy: a language model that answers, and a value head that guesses how well it will be judged.

Fully fine-tuned, the policy is its own model and the reference a frozen one beside it. With LoRA, one trunk
serves for all: the adapter `policy` answers, the adapter switched off is the reference, and a second
adapter may carry the value, where sharing the policy's states harms one of the two.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch.utils.hooks import RemovableHandle

from configs.schema_ppo import PPOConfig
from tasks.ml.attention import WRITTEN_OUT
from tasks.ml.batching import PackedBatch
from tasks.ml.models import ScoredModel, freeze_bottom, hidden_states
from tasks.ml.precision import frozen_copy, is_bf16
from tasks.ml.token_head import token_log_probs

_POLICY, _VALUE = "policy", "value"


class Policy(torch.nn.Module):
    """What PPO trains.

    Args:
        language_model: The model to align; a LoRA policy leaves its weights alone until `merged`.
        config: Adapter, value trunk and frozen layers are read from it.
        seed: Of the adapters' first weights.
        reference: What the policy must stay near; not needed with LoRA.

    Attributes:
        scored: The language model with the value head.
    """

    def __init__(self, language_model: Any, config: PPOConfig, seed: int, reference: Any = None) -> None:
        super().__init__()
        # In lists, so that the weights of what is not trained are not listed among those of the policy.
        self._peft: list[PeftModel] = []
        self._reference = [reference]
        self._decoder = [frozen_copy(language_model, config.precision)]
        self._attention = language_model.config._attn_implementation
        language_model.set_attn_implementation(WRITTEN_OUT)
        self._separate_value = config.value_trunk == "adapter"
        if config.adapter_rank:
            language_model = self._with_adapters(language_model, config, seed)
        else:
            freeze_bottom(language_model, config.frozen_layers)
        self.scored = ScoredModel(language_model)
        self._lower: dict[str, torch.Tensor] = {}
        self._hooks: list[RemovableHandle] = []
        if is_bf16(config.precision):
            self._split()

    def _with_adapters(self, language_model: Any, config: PPOConfig, seed: int) -> Any:
        adapter = LoraConfig(
            r=config.adapter_rank,
            lora_alpha=config.adapter_alpha,  # type: ignore[arg-type]  # a float does
            target_modules=_linear_names(language_model, config.frozen_layers),
        )
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # peft 0.21 asks transformers 5 for an attribute by its old name.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            torch.manual_seed(seed)
            wrapped = get_peft_model(language_model, adapter, adapter_name=_POLICY)
            if self._separate_value:
                wrapped.add_adapter(_VALUE, adapter)
        self._peft = [wrapped]
        self._use(_POLICY)
        return wrapped.get_base_model()

    @property
    def language_model(self) -> Any:
        """The causal language model, adapters inside."""
        return self.scored.language_model

    @property
    def pad(self) -> int:
        """Id of the padding token."""
        return int(self.language_model.config.pad_token_id)

    @property
    def value_is_shared(self) -> bool:
        """Whether values are read from the policy's own hidden states."""
        return not self._separate_value

    def look(
        self, batch: PackedBatch, temperature: float, entropy_gradient: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Log-probabilities of the response tokens, values before them, and entropies, fp32. Shapes [N]."""
        states = hidden_states(self.language_model, batch)[batch.source]
        log_probs, entropies = self._tokens(states, batch, temperature, entropy_gradient)
        return log_probs, self.values(batch, states), entropies

    def values(self, batch: PackedBatch, states: torch.Tensor | None = None) -> torch.Tensor:
        """Values before the response tokens; `states` are the policy's, if they are at hand. Shape [N]."""
        if self._separate_value:
            self._use(_VALUE)
            states = hidden_states(self.language_model, batch)[batch.source]
            self._use(_POLICY)
        elif states is None:
            states = hidden_states(self.language_model, batch)[batch.source]
        return self.scored.scores(states)

    @torch.no_grad()
    def reference_log_probs(self, batch: PackedBatch, temperature: float) -> torch.Tensor:
        """Log-probabilities of the response tokens under the reference, in nats. Shape [N]."""
        with self._as_reference() as model:
            states = hidden_states(model, batch)[batch.source]
            return token_log_probs(states, model.lm_head.weight, batch.target, temperature)[0]

    def _tokens(
        self, states: torch.Tensor, batch: PackedBatch, temperature: float, entropy_gradient: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        weight = self.language_model.lm_head.weight
        if not weight.requires_grad:
            weight = self._decoder[0].lm_head.weight  # the same, and in the right precision already
        return token_log_probs(states, weight, batch.target, temperature, entropy_gradient)

    @contextmanager
    def _as_reference(self) -> Iterator[Any]:
        if self._reference[0] is not None:
            yield self._reference[0]
            return
        [wrapped] = self._peft
        with wrapped.disable_adapter():
            yield self.language_model
        self._use(_POLICY)

    def _adapted(self) -> Iterator[tuple[str, LoraLayer]]:
        for name, module in self.language_model.named_modules():
            if isinstance(module, LoraLayer):
                yield name, module

    def _split(self) -> None:
        """Store each adapted weight as the sum of two bf16 numbers.

        The upper one is what autocast would make of it at every pass. Both together hold 16 bits of the 24 in
        an fp32 number: half a unit in the last of them is a relative error of 2^-17.
        """
        for name, layer in self._adapted():
            weight = _base_weight(layer)
            upper = weight.data.bfloat16()
            self._lower[name] = (weight.data - upper).bfloat16()
            weight.data = upper
            layer.cast_input_dtype_enabled = False  # to fp32, from where autocast would lead it back
        for layer in self.language_model.model.layers:
            # Once here, where autocast would do it for each of the products that read it.
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                self._hooks.append(norm.register_forward_hook(lambda *io: io[2].bfloat16()))

    def _whole(self, name: str, layer: LoraLayer) -> torch.Tensor:
        """An adapted weight in fp32."""
        weight = _base_weight(layer).data.float()
        return weight + self._lower[name] if name in self._lower else weight

    def _use(self, adapter: str) -> None:
        """Switch to one adapter, and go on training both."""
        for layer in self._peft[0].modules():
            if isinstance(layer, LoraLayer):
                layer.set_adapter(adapter)
        for name, parameter in self._peft[0].named_parameters():
            if "lora_" in name:
                parameter.requires_grad_(True)

    @torch.no_grad()
    def decoder(self) -> Any:
        """The language model as it is now, adapter merged, frozen, in the precision of inference.

        It is made once; afterwards only what is trained is written into it.
        """
        own = dict(self._decoder[0].named_parameters())
        for name, layer in self._adapted():
            delta = layer.get_delta_weight(_POLICY)  # type: ignore[attr-defined]
            own[f"{name}.weight"].copy_(self._whole(name, layer) + delta)
        for name, parameter in self.language_model.named_parameters():
            if parameter.requires_grad and name in own:
                own[name].copy_(parameter)
        return self._decoder[0]

    def merged(self) -> Any:
        """The aligned language model, adapter merged into its weights; the policy is of no use afterwards."""
        model = self.language_model
        if self._peft:
            for hook in self._hooks:
                hook.remove()
            for name, layer in self._adapted():
                _base_weight(layer).data = self._whole(name, layer)
            model = self._peft[0].merge_and_unload(adapter_names=[_POLICY])
        model.set_attn_implementation(self._attention)
        return model


def _base_weight(layer: LoraLayer) -> torch.Tensor:
    """The matrix that an adapter is added to."""
    base = layer.get_base_layer()
    assert isinstance(base, torch.nn.Linear)
    return base.weight


def _linear_names(language_model: Any, frozen_layers: int) -> list[str]:
    """Names of the matrices above the frozen layers."""
    return [
        f"model.layers.{number}.{name}"
        for number, layer in enumerate(language_model.model.layers)
        for name, module in layer.named_modules()
        if number >= frozen_layers and isinstance(module, torch.nn.Linear)
    ]
