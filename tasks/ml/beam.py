"""Beam search through transformers' `generate`: the likeliest answer instead of the likeliest tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tasks.ml.progress import Bar
from tasks.ml.sampling import Sampling


@torch.inference_mode()
def beam_search(
    model: Any, prompts: Sequence[Sequence[int]], sampling: Sampling, beams: int, bar: Bar
) -> list[tuple[int, ...]]:
    """The best response of each prompt, with its stop token where it came.

    The score of a response is the mean log-probability of its tokens, the stop token included. Prompts are
    padded on the left, in batches of similar length.

    Args:
        model: A causal language model.
        prompts: Token ids, none empty.
        sampling: Its length limit, stop and padding; `rows` bounds prompts times beams of a batch.
        beams: Prefixes that are pursued side by side.
        bar: Advanced by each response.
    """
    responses: list[tuple[int, ...]] = [()] * len(prompts)
    for batch in _batches(prompts, max(sampling.rows // beams, 1)):
        for place, response in zip(batch, _search(model, prompts, batch, sampling, beams), strict=True):
            responses[place] = response
        bar.advance(len(batch))
    return responses


def _batches(prompts: Sequence[Sequence[int]], size: int) -> Iterator[list[int]]:
    """Places of prompts in batches of similar length, the longest first."""
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    return (order[start : start + size] for start in range(0, len(order), size))


def _search(
    model: Any, prompts: Sequence[Sequence[int]], batch: list[int], sampling: Sampling, beams: int
) -> Iterator[tuple[int, ...]]:
    width = max(len(prompts[place]) for place in batch)
    padded = [[sampling.pad] * (width - len(prompts[place])) + list(prompts[place]) for place in batch]
    mask = [[0] * (width - len(prompts[place])) + [1] * len(prompts[place]) for place in batch]
    found = model.generate(
        input_ids=torch.tensor(padded),
        attention_mask=torch.tensor(mask),
        num_beams=beams,
        max_new_tokens=sampling.max_new_tokens,
        eos_token_id=sampling.stop,
        pad_token_id=sampling.pad,
        # What a model's own generation settings may say otherwise.
        do_sample=False,
        length_penalty=1.0,
        early_stopping=False,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        num_return_sequences=1,
    )
    return (_until_stop(row, sampling.stop) for row in found[:, width:].tolist())


def _until_stop(tokens: list[int], stop: int) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(stop) + 1] if stop in tokens else tokens)
