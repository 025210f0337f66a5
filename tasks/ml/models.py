"""Models as every stage uses them: packed forward passes, heads, freezing, folders on disk."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from tasks.ml.batching import PackedBatch

HEAD_FILE = "head.safetensors"


def hidden_states(model: Any, batch: PackedBatch) -> torch.Tensor:
    """Last hidden state of every token of a packed batch. Shape [R * T, H]."""
    states: torch.Tensor = model.model(
        input_ids=batch.input_ids, attention_mask=batch.mask, position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    return states.flatten(0, 1)


def response_log_probs(model: Any, hidden: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    """Log-probabilities of all tokens where a response token is predicted, in fp32 nats. Shape [N, V].

    Prompts and padding never reach the language-model head.
    """
    logits: torch.Tensor = model.lm_head(hidden[batch.source])
    return logits.float().log_softmax(-1)


class ScoredModel(torch.nn.Module):
    """A language model with linear heads on its last hidden state: a reward or a value.

    Args:
        language_model: The causal language model, whose own head stays usable.
        heads: Number of heads, N; several are an ensemble on one trunk.

    Attributes:
        language_model: The language model.
        head: From hidden size to N numbers; starts at 0.
    """

    def __init__(self, language_model: Any, heads: int = 1) -> None:
        super().__init__()
        self.language_model = language_model
        self.head = torch.nn.Linear(language_model.config.hidden_size, heads)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def hidden_states(self, batch: PackedBatch) -> torch.Tensor:
        """Last hidden state of every token. Shape [R * T, H]."""
        return hidden_states(self.language_model, batch)

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """The mean over heads for each hidden state, in fp32. Shape [...]."""
        return self.head_scores(hidden).mean(-1)

    def head_scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """What each head says of each hidden state, in fp32. Shape [..., N]."""
        # The head is small and its output is compared and summed, so it computes in fp32.
        with torch.autocast("cpu", enabled=False):
            return torch.nn.functional.linear(
                hidden.float(), self.head.weight.float(), self.head.bias.float()
            )

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write model, tokeniser and heads."""
        save_model(folder, self.language_model, tokenizer)
        save_file({"weight": self.head.weight.detach(), "bias": self.head.bias.detach()}, folder / HEAD_FILE)

    @classmethod
    def load(cls, folder: Path) -> "ScoredModel":
        """Read what `save` wrote."""
        weights = load_file(folder / HEAD_FILE)
        scored = cls(load_model(folder), heads=len(weights["bias"]))
        scored.head.load_state_dict(weights)
        return scored


def freeze_bottom(language_model: Any, layers: int) -> None:
    """Stop training the embedding (and the head tied to it) and the lowest layers; none if `layers` is 0."""
    if layers:
        language_model.get_input_embeddings().requires_grad_(False)
        for layer in language_model.model.layers[:layers]:
            layer.requires_grad_(False)


def untie_head(language_model: Any) -> None:
    """Give the language-model head a copy of the embedding as weights of its own, if the two are tied."""
    if language_model.config.tie_word_embeddings:
        language_model.config.tie_word_embeddings = False
        head = language_model.lm_head
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), head.weight.requires_grad)
        # What was tied when the model was made is left out when it is saved.
        language_model.all_tied_weights_keys = {}


def parameter_count(model: torch.nn.Module) -> int:
    """Number of parameters, tied ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def trained_parameters(model: torch.nn.Module) -> int:
    """Number of parameters that learn."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def save_model(folder: Path, model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a Hugging Face folder."""
    transformers_logging.disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_model(folder: Path) -> Any:
    """Read a model from a Hugging Face folder, in fp32."""
    transformers_logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Read a tokeniser from a Hugging Face folder."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


def tiny_random_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> LlamaForCausalLM:
    """A four-layer Llama of random weights, for smoke runs and tests: every stage in seconds."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
