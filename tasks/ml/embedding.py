"""Prompts as vectors: the mean of a model's hidden states over a prompt's tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from tasks.ml.batching import Group, fill, group_examples, pack
from tasks.ml.models import hidden_states
from tasks.ml.progress import Bar
from tasks.ml.prompts import Example, encode_asked

TOKEN_BUDGET = 2048  # of a batch, padding included
LONGEST = 768  # tokens of a packed row


def embed_prompts(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    tasks: Sequence[str],
    units: Sequence[str],
    bar: Bar,
) -> torch.Tensor:
    """Mean hidden state of each prompt, in fp32. Shape [n, H].

    Args:
        model: A causal language model.
        tokenizer: Its tokeniser.
        prompts: What the user says, n texts.
        tasks: The family of each.
        units: What each belongs to: prompts of one unit share their beginning, which is read once.
        bar: Advanced by each prompt.
    """
    examples = [
        Example(encode_asked(tokenizer, prompt, task)) for prompt, task in zip(prompts, tasks, strict=True)
    ]
    means = torch.zeros(len(prompts), model.config.hidden_size)
    groups = group_examples(examples, units, LONGEST)
    with torch.inference_mode():
        for batch in fill(groups, TOKEN_BUDGET):
            packed = pack(batch, tokenizer.pad_token_id)
            states = hidden_states(model, packed).float().unflatten(0, packed.input_ids.shape)
            for group, own in zip(batch, states, strict=True):
                _put_means(group, own, means)
            bar.advance(sum(len(group.branches) for group in batch))
    return means


def lower_half(model: Any) -> Any:
    """Leave a model its lower half, in place: what a text is about is settled there, at half the cost."""
    kept = (len(model.model.layers) + 1) // 2
    model.model.layers = model.model.layers[:kept]
    model.config.num_hidden_layers = kept
    return model


def _put_means(group: Group, states: torch.Tensor, means: torch.Tensor) -> None:
    """Fill in the means of a group's branches, laid out one after the other behind the shared prefix."""
    start = len(group.prefix)
    shared = states[:start].sum(0)
    for branch in group.branches:
        own = states[start : start + len(branch)].sum(0)
        means[branch.index] = (shared + own) / (len(group.prefix) + len(branch))
        start += len(branch)
