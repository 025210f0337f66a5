"""The teacher's top-k: what it says alone, kept in order, found again by token."""

import math

import numpy as np
import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.teacher_signal import Scores, TeacherSignal, id_type, keep_top, score_batch

GROUPS = [
    Group((5, 6), (Branch((7,), (8, 9, 1), 2), Branch((10, 11), (12,), 0))),
    Group((), (Branch((20, 21), (22, 1), 3),)),
]
VOCABULARY = 40


def alone(model, prompt: list[int], response: list[int], top_k: int, temperature: float) -> list[list[float]]:
    """A row a token: the ids of its top-k, their log-probabilities, the log of what is left."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0]
    rows = []
    for place in range(len(prompt) - 1, len(prompt) + len(response) - 1):
        shares = {v: math.exp(z / temperature) for v, z in enumerate(logits[place].tolist())}
        total = sum(shares.values())
        best = sorted(shares, key=lambda v: -shares[v])[:top_k]
        rest = sum(share for v, share in shares.items() if v not in best) / total
        rows.append([*best, *(math.log(shares[v] / total) for v in best), math.log(rest)])
    return rows


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_packed_pass_scores_each_answer_as_if_alone(make_llama, temperature: float) -> None:
    model = make_llama()
    scored = score_batch(model, GROUPS, 4, temperature, pad=0)
    assert scored.keys() == {0, 2, 3}
    for index, prompt, response in (
        (2, [5, 6, 7], [8, 9, 1]),
        (0, [5, 6, 10, 11], [12]),
        (3, [20, 21], [22, 1]),
    ):
        found = scored[index]
        for place, expected in enumerate(alone(model, prompt, response, 4, temperature)):
            assert found.ids[place].tolist() == expected[:4]
            # Half precision keeps three digits.
            assert found.log_probs[place].tolist() == pytest.approx(expected[4:8], rel=1e-3)
            assert found.log_tail[place] == pytest.approx(expected[8], abs=1e-5)


def test_a_tail_that_is_next_to_nothing_is_still_right() -> None:
    # Logits 30, 0, 0 and k = 1: the tail holds 2 e^-30 of the mass.
    log_probs = torch.tensor([[30.0, 0.0, 0.0]]).log_softmax(-1)
    assert keep_top(log_probs, 1).log_tail.tolist() == [pytest.approx(math.log(2) - 30, abs=1e-4)]
    assert keep_top(log_probs, 3).log_tail.tolist() == [-math.inf]


def test_at_32_tokens_kept_a_token_takes_132_bytes() -> None:
    log_probs = torch.zeros(5, 49_152).log_softmax(-1)
    scores = keep_top(log_probs, 32)
    signal = TeacherSignal.join({0: scores}, 1, 32, 1.0)
    assert signal.bytes_per_token == 132
    assert len(scores.to_bytes()) == 1 + 5 * 132
    assert id_type(65_536) == np.uint16
    assert id_type(65_537) == np.int32


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 100_000])
def test_scores_survive_their_bytes(vocabulary: int) -> None:
    scores = keep_top(torch.randn(3, vocabulary, generator=torch.Generator().manual_seed(0)), 4)
    again = Scores.from_bytes(scores.to_bytes(), 4)
    for name in ("ids", "log_probs", "log_tail"):
        assert np.array_equal(getattr(again, name), getattr(scores, name))
        assert getattr(again, name).dtype == getattr(scores, name).dtype


def test_a_signal_is_laid_end_to_end_and_survives_its_files(make_llama, tmp_path) -> None:
    scored = score_batch(make_llama(), GROUPS, 4, 1.0, pad=0)
    signal = TeacherSignal.join(scored, 5, 4, 1.5)
    assert signal.spans.tolist() == [[0, 1], [1, 1], [1, 4], [4, 6], [6, 6]]
    assert np.array_equal(signal.ids[1:4], scored[2].ids)
    signal.save(tmp_path / "signal")
    again = TeacherSignal.load(tmp_path / "signal")
    assert isinstance(again.log_probs, np.memmap)
    assert again.temperature == 1.5
    for name in ("ids", "log_probs", "log_tail", "spans"):
        assert np.array_equal(getattr(again, name), getattr(signal, name))


def test_a_batch_finds_its_tokens_in_the_students_ids() -> None:
    def scores(*rows: tuple[int, int]) -> Scores:
        probs = np.tile(np.log(np.array([[0.6, 0.1]])), (len(rows), 1))
        return Scores(
            np.array(rows, np.uint16), probs.astype(np.float16), np.full(len(rows), math.log(0.3), np.float32)
        )

    signal = TeacherSignal.join({0: scores((6, 4)), 2: scores((1, 5), (2, 5), (1, 5))}, 4, 2, 2.0)
    batch = pack(GROUPS, 0)
    known = signal.known(batch)
    # Example 3 has a response in the batch, but nobody scored it.
    assert known.tolist() == [True, True, True, True, False, False]
    student_id = torch.tensor([-1, 10, 11, -1, 12, 13, -1])
    found = signal.at(batch, known, student_id)
    assert found.ids.tolist() == [[10, 13], [11, 13], [10, 13], [-1, 12]]
    assert found.log_probs.exp().tolist()[3] == pytest.approx([0.6, 0.1], abs=1e-3)
    assert found.log_tail.exp().tolist() == pytest.approx([0.3] * 4, abs=1e-6)
    assert found.temperature == 2.0


def test_without_a_signal_nothing_is_known() -> None:
    batch = pack(GROUPS, 0)
    assert TeacherSignal.none(4).known(batch).tolist() == [False] * 6
    assert TeacherSignal.none(4).bytes_per_token == 0


def test_examples_can_be_left_out_moved_and_added() -> None:
    scores = keep_top(torch.randn(5, VOCABULARY, generator=torch.Generator().manual_seed(0)), 2)
    first = Scores(scores.ids[:2], scores.log_probs[:2], scores.log_tail[:2])
    last = Scores(scores.ids[2:], scores.log_probs[2:], scores.log_tail[2:])
    signal = TeacherSignal.join({0: first, 3: last}, 4, 2, 1.0)
    assert signal.chosen([3, 1, None, 0]).spans.tolist() == [[2, 5], [2, 2], [0, 0], [0, 2]]
