"""Divergence from the teacher: worked by hand, and against plain loops over whole distributions."""

import math
from typing import get_args

import pytest
import torch

from configs.section import Divergence
from tasks.ml.kd_loss import (
    SparseDistribution,
    divergence,
    forward_kl,
    gold_cross_entropy,
    log_rest,
    smoothed_cross_entropy,
    split_student,
    split_teacher,
)


def logs(*shares: float) -> torch.Tensor:
    return torch.tensor([shares]).log()


def dense_kl(teacher: list[float], student: list[float]) -> float:
    return sum(t * (math.log(t) - math.log(s)) for t, s in zip(teacher, student, strict=True) if t)


def random_logs(rows: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def test_a_distribution_does_not_diverge_from_itself() -> None:
    same = random_logs(5, 7, 0)
    assert forward_kl(same, same).tolist() == [0.0] * 5


KINDS = get_args(Divergence)


@pytest.mark.parametrize("kind", KINDS)
def test_every_divergence_of_a_distribution_from_itself_is_nothing(kind: Divergence) -> None:
    same = random_logs(5, 7, 0)
    assert divergence(kind, same, same, 0.1).tolist() == pytest.approx([0.0] * 5, abs=1e-6)


def mixed(share: float, first: list[float], second: list[float]) -> list[float]:
    return [share * a + (1 - share) * b for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        ("forward_kl", lambda t, s: dense_kl(t, s)),
        ("reverse_kl", lambda t, s: dense_kl(s, t)),
        (
            "jensen_shannon",
            lambda t, s: (dense_kl(t, mixed(0.5, t, s)) + dense_kl(s, mixed(0.5, t, s))) / 2,
        ),
        ("skewed_kl", lambda t, s: dense_kl(t, mixed(0.1, t, s))),
        ("skewed_reverse_kl", lambda t, s: dense_kl(s, mixed(0.1, s, t))),
    ],
)
def test_every_divergence_is_the_sum_in_a_plain_loop(kind: Divergence, plain) -> None:
    teacher, student = random_logs(4, 6, 0), random_logs(4, 6, 1)
    rows = zip(teacher.exp().tolist(), student.exp().tolist(), strict=True)
    assert divergence(kind, teacher, student, 0.1).tolist() == pytest.approx(
        [plain(t, s) for t, s in rows], abs=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_that_the_student_lacks_leave_every_gradient_finite(kind: Divergence) -> None:
    teacher = SparseDistribution(torch.tensor([[2, -1]]), logs(0.5, 0.3))
    logits = torch.tensor([[0.3, -0.2, 0.5, 0.1]], requires_grad=True)
    sides = (split_teacher(teacher), split_student(logits.log_softmax(-1), teacher))
    distance = divergence(kind, *sides, 0.1)
    distance.sum().backward()
    assert distance.item() > 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().min() > 0


def test_forward_kl_is_the_sum_over_the_teachers_classes() -> None:
    teacher, student = random_logs(4, 6, 0), random_logs(4, 6, 1)
    expected = [dense_kl(t, s) for t, s in zip(teacher.exp().tolist(), student.exp().tolist(), strict=True)]
    assert forward_kl(teacher, student).tolist() == pytest.approx(expected, abs=1e-6)
    backward = [dense_kl(s, t) for t, s in zip(teacher.exp().tolist(), student.exp().tolist(), strict=True)]
    assert forward_kl(teacher, student).tolist() != pytest.approx(backward, abs=1e-3)


def test_classes_that_the_teacher_rules_out_cost_nothing() -> None:
    # 0.25 ln(0.25 / 0.5) + 0.75 ln(0.75 / 0.25), though the student gives a quarter to the third class.
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(3)
    assert forward_kl(logs(0.25, 0.75, 0.0), logs(0.5, 0.25, 0.25)).item() == pytest.approx(
        expected, abs=1e-6
    )
    assert forward_kl(logs(0.25, 0.75, 0.0), logs(0.5, 0.5, 0.0)).isfinite().all()


def test_with_all_tokens_kept_it_is_the_dense_divergence() -> None:
    teacher, student = random_logs(4, 6, 0), random_logs(4, 6, 1)
    top, ids = teacher.topk(6, dim=-1)
    sparse = SparseDistribution(ids, top)
    got = forward_kl(split_teacher(sparse), split_student(student, sparse))
    expected = [dense_kl(t, s) for t, s in zip(teacher.exp().tolist(), student.exp().tolist(), strict=True)]
    assert got.tolist() == pytest.approx(expected, abs=1e-5)


def test_what_is_not_kept_is_one_class() -> None:
    # Teacher: tokens 2 and 0 hold 0.5 and 0.3, all others 0.2; the student gives them 0.4, 0.1 and 0.5.
    teacher = SparseDistribution(torch.tensor([[2, 0]]), logs(0.5, 0.3))
    student = logs(0.1, 0.2, 0.4, 0.3)
    assert split_teacher(teacher).exp().tolist()[0] == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    assert split_student(student, teacher).exp().tolist()[0] == pytest.approx([0.4, 0.1, 0.5], abs=1e-6)
    expected = 0.5 * math.log(0.5 / 0.4) + 0.3 * math.log(0.3 / 0.1) + 0.2 * math.log(0.2 / 0.5)
    got = forward_kl(split_teacher(teacher), split_student(student, teacher))
    assert got.item() == pytest.approx(expected, abs=1e-6)


def test_tokens_that_the_student_lacks_join_the_rest() -> None:
    # The teacher's 0.3 is for an unknown token: it stands with the other 0.2, against the student's 0.6.
    teacher = SparseDistribution(torch.tensor([[2, -1]]), logs(0.5, 0.3))
    student = logs(0.1, 0.2, 0.4, 0.3)
    assert split_teacher(teacher).exp().tolist()[0] == pytest.approx([0.5, 0.0, 0.5], abs=1e-6)
    assert split_student(student, teacher).exp().tolist()[0] == pytest.approx([0.4, 0.0, 0.6], abs=1e-6)
    expected = 0.5 * math.log(0.5 / 0.4) + 0.5 * math.log(0.5 / 0.6)
    got = forward_kl(split_teacher(teacher), split_student(student, teacher))
    assert got.item() == pytest.approx(expected, abs=1e-6)


def test_a_step_downhill_brings_the_student_nearer() -> None:
    teacher = SparseDistribution(torch.tensor([[2, 0, -1]]), logs(0.5, 0.3, 0.1))
    logits = torch.zeros(1, 4, requires_grad=True)

    def loss() -> torch.Tensor:
        return forward_kl(split_teacher(teacher), split_student(logits.log_softmax(-1), teacher)).sum()

    loss().backward()
    assert logits.grad is not None
    # At uniform logits the classes weigh 0.25, 0.25 and a rest of 0.5: d/dz_i = s_i - t_i for kept tokens,
    # and the rest's surplus of 0.5 - 0.2 is shared by its two tokens alike.
    assert logits.grad.tolist()[0] == pytest.approx([0.25 - 0.3, 0.15, 0.25 - 0.5, 0.15], abs=1e-5)


def test_the_rest_never_falls_to_nothing() -> None:
    assert log_rest(logs(0.5, 0.5)).item() == pytest.approx(math.log(1e-6), abs=0.1)
    assert log_rest(logs(0.25, 0.5)).item() == pytest.approx(math.log(0.25), abs=1e-6)


def test_rows_of_a_signal_can_be_picked() -> None:
    signal = SparseDistribution(torch.arange(6).reshape(3, 2), random_logs(3, 2, 0))
    picked = signal[torch.tensor([True, False, True])]
    assert picked.ids.tolist() == [[0, 1], [4, 5]]
    assert torch.equal(picked.log_probs, signal.log_probs[[0, 2]])


def test_gold_cross_entropy_reads_the_target() -> None:
    losses = gold_cross_entropy(torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([0, 1]))
    assert losses.tolist() == pytest.approx([math.log(2), math.log(10)], abs=1e-6)


def test_smoothing_takes_mass_from_gold_for_every_token() -> None:
    log_probs = logs(0.5, 0.25, 0.25).repeat(2, 1)
    # Of a smoothing of 0.3 each of 3 tokens gets 0.1: gold keeps 0.8.
    first = -(0.8 * math.log(0.5) + 0.2 * math.log(0.25))
    second = -(0.1 * math.log(0.5) + 0.9 * math.log(0.25))
    got = smoothed_cross_entropy(log_probs, torch.tensor([0, 2]), 0.3)
    assert got.tolist() == pytest.approx([first, second], abs=1e-6)


def test_without_smoothing_it_is_the_cross_entropy() -> None:
    log_probs, target = random_logs(4, 6, 1), torch.tensor([0, 5, 2, 2])
    assert torch.equal(smoothed_cross_entropy(log_probs, target, 0.0), gold_cross_entropy(log_probs, target))
