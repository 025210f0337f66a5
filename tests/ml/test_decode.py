"""Decoding with shared prefixes must answer as the model's own `generate` does, one prompt at a time."""

from collections.abc import Sequence

import pytest
import torch

from tasks.ml.decode import DecodeEngine, Stopwatch, decode, stopped
from tasks.ml.sampling import Sampling

PAD, STOP = 0, 1
NOTHING_SHARED = [(5, 6, 7), (9,), (12, 13, 14, 15, 16, 17), (20, 21), (33, 5, 8, 9)]
ALL_SHARE = [(5, 6, 7, 8, *rest) for rest in ((9,), (9, 10, 11), (20, 21), (35,), (36, 30, 4, 5, 6))]
TWO_LEVELS = [
    (5, 6, *middle, *rest) for middle in ((7, 8, 9), (10,)) for rest in ((11,), (12, 13, 14), (15, 16))
]
CASES = {
    "nothing shared": (NOTHING_SHARED, list("abcde")),
    "prefix of all": (ALL_SHARE, list("abcde")),
    "one key": (ALL_SHARE, ["a"] * 5),
    "prefix of all and of each key": (TWO_LEVELS, ["x", "x", "x", "y", "y", "y"]),
    "keys mixed": (TWO_LEVELS, ["x", "y", "x", "y", "x", "y"]),
    "equal prompts": ([(5, 6, 7)] * 3, ["a", "a", "b"]),
    "one prompt": ([(5, 6, 7)], ["a"]),
    "prompts of one token": ([(5,), (9,), (30,)], ["a", "a", "b"]),
}


def generated(model, prompt: Sequence[int], limit: int, stop: int) -> tuple[int, ...]:
    """The reference answer: the library's greedy search on this prompt alone."""
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=stop,
        pad_token_id=PAD,
    )
    return tuple(output[0, len(prompt) :].tolist())


def common_token(model, prompts: Sequence[Sequence[int]], limit: int) -> int:
    """The token that most free answers contain, so that as a stop token it ends them at different lengths."""
    free = [generated(model, prompt, limit, stop=-1) for prompt in prompts]
    tokens = {token for answer in free for token in answer}
    return max(
        sorted(tokens), key=lambda token: len({answer.index(token) for answer in free if token in answer})
    )


@pytest.mark.parametrize("case", CASES)
def test_greedy_answers_are_those_of_generate(make_llama, case: str) -> None:
    prompts, keys = CASES[case]
    model = make_llama(layers=2, seed=1)
    stop = common_token(model, prompts, limit=12)
    answers = decode(model, prompts, keys, Sampling(12, stop, PAD))
    assert answers == [generated(model, prompt, 12, stop) for prompt in prompts]


def test_rows_that_end_early_leave_and_the_others_go_on(make_llama) -> None:
    model = make_llama(layers=2, seed=1)
    prompts = [(first, second, 7) for first in range(3, 11) for second in (4, 23, 31)]
    stop = common_token(model, prompts, limit=16)
    answers = decode(model, prompts, [str(prompt[0]) for prompt in prompts], Sampling(16, stop, PAD))
    assert answers == [generated(model, prompt, 16, stop) for prompt in prompts]
    assert len({len(answer) for answer in answers}) >= 4
    ended = [stopped(answer, stop) for answer in answers]
    assert any(ended)
    assert all(len(answer) == 16 for answer, did in zip(answers, ended, strict=True) if not did)
    assert all(stop not in answer[:-1] for answer in answers)


@pytest.mark.parametrize("rows", [1, 2, 4, 100])
def test_greedy_answers_do_not_depend_on_how_many_are_decoded_side_by_side(make_llama, rows: int) -> None:
    model = make_llama(seed=2)
    keys = ["x", "x", "x", "y", "y", "y"]
    whole = decode(model, TWO_LEVELS, keys, Sampling(9, STOP, PAD))
    assert decode(model, TWO_LEVELS, keys, Sampling(9, STOP, PAD, rows=rows)) == whole


def test_no_answer_is_longer_than_the_limit(make_llama) -> None:
    model = make_llama()
    assert [len(answer) for answer in decode(model, NOTHING_SHARED, list("abcde"), Sampling(1, -1, PAD))] == [
        1
    ] * 5
    assert [len(answer) for answer in decode(model, NOTHING_SHARED, list("abcde"), Sampling(7, -1, PAD))] == [
        7
    ] * 5
    assert decode(model, [], [], Sampling(7, -1, PAD)) == []


def test_samples_depend_on_the_seed_alone(make_llama) -> None:
    model = make_llama()
    first = decode(model, TWO_LEVELS, list("aabbcc"), Sampling(9, STOP, PAD, temperature=1.0, seed=5))
    torch.manual_seed(99)
    assert decode(model, TWO_LEVELS, list("aabbcc"), Sampling(9, STOP, PAD, temperature=1.0, seed=5)) == first
    assert decode(model, TWO_LEVELS, list("aabbcc"), Sampling(9, STOP, PAD, temperature=1.0, seed=6)) != first


def record(model, prompts: Sequence[Sequence[int]], rows: int, **changes):
    sampling = Sampling(9, STOP, PAD, temperature=0.8, seed=5, rows=rows)
    return DecodeEngine(model, sampling, **changes).run(prompts, ["a"] * len(prompts))


@pytest.mark.parametrize("rows", [1, 3, 6])
def test_a_sample_does_not_depend_on_its_batch_mates(make_llama, rows: int) -> None:
    model = make_llama()
    together = record(model, TWO_LEVELS, rows=100).responses()
    assert record(model, TWO_LEVELS, rows).responses() == together
    sampling = Sampling(9, STOP, PAD, temperature=0.8, seed=5)
    for place in (0, 4):
        alone = DecodeEngine(model, sampling).run([TWO_LEVELS[place]], ["b"], streams=[place])
        assert alone.responses() == [together[place]]


@torch.no_grad()
@pytest.mark.parametrize("temperature", [1.0, 0.8])
def test_what_is_captured_is_what_a_full_forward_gives(make_llama, temperature: float) -> None:
    model = make_llama(seed=10)
    # Few slots, so that rows are moved and slots filled again on the way.
    sampling = Sampling(9, STOP, PAD, temperature=temperature, rows=4)
    prompts = [(5, first, 7, second) for first in (8, 9, 33) for second in range(10, 16)]
    keys = [str(prompt[1]) for prompt in prompts]
    head = torch.linspace(-1, 1, model.config.hidden_size)
    got = DecodeEngine(model, sampling, value_of=lambda hidden: hidden @ head).run(prompts, keys)
    assert len(set(got.lengths.tolist())) > 2
    for row, (prompt, response) in enumerate(zip(prompts, got.responses(), strict=True)):
        output = model(input_ids=torch.tensor([[*prompt, *response]]), output_hidden_states=True)
        places = slice(len(prompt) - 1, -1)
        log_probs = (output.logits[0, places] / temperature).log_softmax(-1)
        chosen = [log_probs[step, token].item() for step, token in enumerate(response)]
        entropies = [-sum(p.exp().item() * p.item() for p in step) for step in log_probs]
        values = (output.hidden_states[-1][0, places] @ head).tolist()
        n = len(response)
        assert got.log_probs[row, :n].tolist() == pytest.approx(chosen, abs=1e-5)
        assert got.entropies[row, :n].tolist() == pytest.approx(entropies, abs=1e-5)
        assert got.values[row, :n].tolist() == pytest.approx(values, abs=1e-5)
        assert not got.log_probs[row, n:].any()
        assert (got.tokens[row, n:] == PAD).all()


def test_each_response_has_its_own_limit(make_llama) -> None:
    limits = [1, 5, 2, 7, 3, 4]
    sampling = Sampling(7, -1, PAD, temperature=1.0, rows=2)
    got = DecodeEngine(make_llama(), sampling).run(TWO_LEVELS, list("aabbcc"), limits=limits)
    assert got.lengths.tolist() == limits


class CountingBar:
    def __init__(self) -> None:
        self.steps = 0

    def advance(self, n: int = 1) -> None:
        self.steps += n

    def note(self, text: str) -> None:
        raise AssertionError(text)


def test_progress_and_seconds_are_reported(make_llama) -> None:
    bar, watch = CountingBar(), Stopwatch()
    decode(make_llama(), TWO_LEVELS, list("aabbcc"), Sampling(3, STOP, PAD, rows=2), bar, watch)
    assert bar.steps == len(TWO_LEVELS)
    assert watch.prefill > 0
    assert watch.steps > 0


def test_stopped_reads_the_last_token() -> None:
    assert stopped((4, 1), 1)
    assert not stopped((1, 4), 1)
    assert not stopped((), 1)
