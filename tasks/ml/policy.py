"""The policy: a language model that answers, and a value head that guesses how well it will be judged.

Fully fine-tuned, the policy is its own model and the reference a frozen one beside it. With LoRA, one trunk
serves for all: the adapter `policy` answers, the adapter switched off is the reference, and a second
adapter may carry the value, where sharing the policy's states harms one of the two.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.hooks import RemovableHandle

from configs.schema_ppo import PPOConfig
from tasks.ml.attention import WRITTEN_OUT
from tasks.ml.batching import PackedBatch
from tasks.ml.lora import AdaptedLinear, linear_names, without_adapters
from tasks.ml.models import ScoredModel, freeze_bottom, hidden_states
from tasks.ml.precision import frozen_copy, is_bf16
from tasks.ml.token_head import token_log_probs

_POLICY, _VALUE = "policy", "value"


class Policy(torch.nn.Module):
    """What PPO trains.

    Args:
        language_model: The model to align; it becomes a part of the policy until `merged` gives it back.
        config: Adapter, value trunk and frozen layers are read from it.
        seed: Of the adapters' first weights.
        reference: What the policy must stay near; not needed with LoRA.

    Attributes:
        scored: The language model with the value head.
    """

    def __init__(self, language_model: Any, config: PPOConfig, seed: int, reference: Any = None) -> None:
        super().__init__()
        self._attention = language_model.config._attn_implementation
        self._separate_value = config.value_trunk == "adapter"
        self._adapted: list[AdaptedLinear] = []
        self._hooks: list[RemovableHandle] = []
        # In lists, so that the weights of what is not trained are not listed among those of the policy.
        self._reference = [reference]
        if config.adapter_rank:
            self._decoder = [self._adapt(language_model, config, seed)]
        else:
            freeze_bottom(language_model, config.frozen_layers)
            self._decoder = [frozen_copy(language_model, config.precision)]
        language_model.set_attn_implementation(WRITTEN_OUT)
        self.scored = ScoredModel(language_model)

    def _adapt(self, language_model: Any, config: PPOConfig, seed: int) -> Any:
        """Put adapters on the layers that are trained; gives the decoder, which holds the merged weights."""
        language_model.requires_grad_(False)
        layers = range(config.frozen_layers, len(language_model.model.layers))
        names = list(linear_names(language_model, layers))
        for name in names:
            language_model.get_submodule(name).weight.requires_grad_(True)
        decoder = frozen_copy(language_model, config.precision)
        adapters = (_POLICY, _VALUE) if self._separate_value else (_POLICY,)
        scale = config.adapter_alpha / config.adapter_rank
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name in names:
                base, merged = language_model.get_submodule(name), decoder.get_submodule(name).weight
                layer = AdaptedLinear(base, merged.data, adapters, config.adapter_rank, scale)
                language_model.set_submodule(name, layer)
                self._adapted.append(layer)
        if is_bf16(config.precision):
            self._cast_once(language_model)
        return decoder

    def _cast_once(self, language_model: Any) -> None:
        """Let norms give bf16, once for all the products that read them."""
        for layer in language_model.model.layers:
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                self._hooks.append(norm.register_forward_hook(lambda *io: io[2].bfloat16()))

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
            with self._using(_VALUE):
                states = hidden_states(self.language_model, batch)[batch.source]
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
        with self._using(None):
            yield self.language_model

    @contextmanager
    def _using(self, adapter: str | None) -> Iterator[None]:
        for layer in self._adapted:
            layer.active = adapter
        try:
            yield
        finally:
            for layer in self._adapted:
                layer.active = _POLICY

    def sync(self) -> None:
        """Merge the adapter as it is now; to be called whenever its weights have changed."""
        for layer in self._adapted:
            layer.merge()

    @torch.no_grad()
    def decoder(self) -> Any:
        """The language model as it is now, adapter merged, frozen, in the precision of inference.

        It is made once; afterwards only what is trained is written into it.
        """
        self.sync()
        own = dict(self._decoder[0].named_parameters())
        for name, parameter in self.language_model.named_parameters():
            if parameter.requires_grad and name in own:
                own[name].copy_(parameter)
        return self._decoder[0]

    def merged(self) -> Any:
        """The aligned language model, adapter merged into its weights; the policy is of no use afterwards."""
        for hook in self._hooks:
            hook.remove()
        model = self.language_model
        without_adapters(model)
        model.set_attn_implementation(self._attention)
        return model
