"""Tiny models that are taught something in seconds, to plant what an assessment must find."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tasks.ml.prompts import Example
from tasks.ml.teacher import CHAT_TEMPLATE, SPECIALS

_ALWAYS = "Answer the question from the facts in one short sentence . system user assistant ? :"


def word_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """One token a word or mark, of all that these texts hold."""
    splits = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    words = dict.fromkeys(word for text in [_ALWAYS, *texts] for word, _ in splits.pre_tokenize_str(text))
    vocabulary = {name: index for index, name in enumerate([*SPECIALS.values(), "<unk>", *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = splits
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=CHAT_TEMPLATE, unk_token="<unk>", **SPECIALS
    )


def taught(tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example], steps: int, seed: int = 3) -> Any:
    """A Llama of two layers after some steps on these examples, 32 a step."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        for _ in range(steps):
            picks = [examples[place] for place in torch.randint(len(examples), (32,)).tolist()]
            loss = model(**_batch(picks)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def _batch(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    longest = max(len(one.prompt) + len(one.response) for one in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for line, one in enumerate(examples):
        whole, start = torch.tensor([*one.prompt, *one.response]), len(one.prompt)
        ids[line, : len(whole)] = whole
        labels[line, start : len(whole)] = whole[start:]
    return {"input_ids": ids, "labels": labels}
