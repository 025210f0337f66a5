"""Beam search against an exhaustive search through every answer of a tiny vocabulary."""

import itertools

import pytest
import torch

from tasks.ml.beam import beam_search
from tasks.ml.progress import NoBar
from tasks.ml.sampling import Sampling

PAD, STOP = 0, 1
LONGEST = 3
SIZE = 5  # of the vocabulary


class Count(NoBar):
    total = 0

    def advance(self, n: int = 1) -> None:
        self.total += n


@pytest.fixture
def model(make_llama):
    llama = make_llama(vocabulary=SIZE, seed=3)
    # A teacher's own settings must not matter.
    llama.generation_config.repetition_penalty = 1.7
    llama.generation_config.length_penalty = -2.0
    return llama


def log_prob(model, prompt: tuple[int, ...], response: tuple[int, ...]) -> float:
    """Sum over the tokens of a response, one plain forward pass without padding or cache."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0].double()
    return total(logits.log_softmax(-1), prompt, response)


def total(table: torch.Tensor, prompt: tuple[int, ...], response: tuple[int, ...]) -> float:
    return sum(float(table[len(prompt) - 1 + step, token]) for step, token in enumerate(response))


def best_of_all(model, prompt: tuple[int, ...]) -> tuple[int, ...]:
    every = list(itertools.product(range(SIZE), repeat=LONGEST))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([prompt + tokens for tokens in every])).logits.double()
    answers = [tokens[: tokens.index(STOP) + 1] if STOP in tokens else tokens for tokens in every]
    tables = zip(answers, logits.log_softmax(-1), strict=True)
    scores = {answer: total(table, prompt, answer) / len(answer) for answer, table in tables}
    return max(scores, key=lambda answer: scores[answer])


PROMPTS = [(2, 3), (4, 2, 3, 3, 4), (3,), (2, 2, 4), (4, 4), (3, 2, 4, 2)]


def test_with_a_beam_for_every_prefix_the_search_is_exhaustive(model) -> None:
    # 5 * 5 prefixes of two tokens; `rows` makes batches of two prompts of different length.
    sampling = Sampling(LONGEST, STOP, PAD, rows=60)
    bar = Count()
    found = beam_search(model, PROMPTS, sampling, beams=25, bar=bar)
    assert found == [best_of_all(model, prompt) for prompt in PROMPTS]
    assert len(set(found)) > 1
    assert bar.total == len(PROMPTS)


def test_the_search_beats_greedy_and_repeats_itself(model) -> None:
    sampling = Sampling(8, STOP, PAD, rows=8)
    wide, again = (beam_search(model, PROMPTS, sampling, 4, NoBar()) for _ in range(2))
    assert wide == again
    alone = [beam_search(model, [prompt], sampling, 4, NoBar())[0] for prompt in PROMPTS]
    assert wide == alone
    scores = [log_prob(model, p, r) / len(r) for p, r in zip(PROMPTS, wide, strict=True)]
    for prompt, score in zip(PROMPTS, scores, strict=True):
        greedy: tuple[int, ...] = ()
        while len(greedy) < 8 and STOP not in greedy:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([prompt + greedy])).logits[0, -1]
            greedy = (*greedy, int(logits.argmax()))
        assert score >= log_prob(model, prompt, greedy) / len(greedy) - 1e-6


def test_nothing_is_searched_without_prompts(model) -> None:
    assert beam_search(model, [], Sampling(4, STOP, PAD), 4, NoBar()) == []
