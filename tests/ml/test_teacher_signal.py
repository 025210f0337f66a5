"""The teacher's top-k: what it says alone, kept in order, found again by token."""

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.teacher_signal import TeacherSignal, join, score_batch

GROUPS = [
    Group((5, 6), (Branch((7,), (8, 9, 1), 2), Branch((10, 11), (12,), 0))),
    Group((), (Branch((20, 21), (22, 1), 3),)),
]


def alone(model, prompt: list[int], response: list[int], top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        log_probs = model(input_ids=torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    values, ids = log_probs[len(prompt) - 1 : len(prompt) + len(response) - 1].topk(top_k)
    return ids, values


def test_a_packed_pass_scores_each_answer_as_if_alone(make_llama) -> None:
    model = make_llama()
    scored = score_batch(model, GROUPS, top_k=4, pad=0)
    assert scored.keys() == {0, 2, 3}
    for index, prompt, response in (
        (2, [5, 6, 7], [8, 9, 1]),
        (0, [5, 6, 10, 11], [12]),
        (3, [20, 21], [22, 1]),
    ):
        ids, values = alone(model, prompt, response, 4)
        assert torch.equal(scored[index][:, 0].long(), ids)
        torch.testing.assert_close(scored[index][:, 1], values, atol=1e-5, rtol=0)


def test_a_signal_is_laid_end_to_end_and_survives_its_file(make_llama, tmp_path) -> None:
    scored = score_batch(make_llama(), GROUPS, top_k=4, pad=0)
    signal = join(scored, examples=5, top_k=4)
    assert signal.offsets.tolist() == [0, 1, 1, 4, 6, 6]
    assert torch.equal(signal.ids[1:4].float(), scored[2][:, 0])
    signal.save(tmp_path / "signal.safetensors")
    again = TeacherSignal.load(tmp_path / "signal.safetensors")
    assert all(
        torch.equal(getattr(again, name), getattr(signal, name)) for name in ("ids", "log_probs", "offsets")
    )


def test_a_batch_finds_its_tokens_in_the_students_ids(make_llama) -> None:
    scored = {
        0: torch.tensor([[[6.0, 4.0], [-0.1, -3.0]]]),
        2: torch.tensor([[[1.0, 5.0], [-0.5, -1.0]]] * 3),
    }
    scored[2][1, 0, 0] = 2.0
    signal = join(scored, examples=4, top_k=2)
    batch = pack(GROUPS, 0)
    known = signal.known(batch)
    # Example 3 has a response in the batch, but nobody scored it.
    assert known.tolist() == [True, True, True, True, False, False]
    student_id = torch.tensor([-1, 10, 11, -1, 12, 13, -1])
    found = signal.at(batch, known, student_id)
    assert found.ids.tolist() == [[10, 13], [11, 13], [10, 13], [-1, 12]]
    assert found.log_probs.tolist()[3] == pytest.approx([-0.1, -3.0], abs=1e-2)


def test_examples_that_come_new_were_not_scored() -> None:
    signal = join({0: torch.ones(2, 2, 3)}, examples=1, top_k=3)
    assert signal.extended(3).offsets.tolist() == [0, 2, 2, 2]
    assert signal.extended(1).offsets.tolist() == [0, 2]
