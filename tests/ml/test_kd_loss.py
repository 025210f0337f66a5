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
    teacher = SparseDistribution(torch.tensor([[2, -1]]), logs(0.5, 0.3), logs(0.2)[0]).classes()
    student = torch.tensor([[-0.4, -torch.inf, -1.2]], requires_grad=True)
    distance = divergence(kind, teacher, student, 0.1)
    distance.sum().backward()
    assert distance.item() > 0
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad[0, [0, 2]].abs().min() > 0


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


def test_what_is_not_kept_is_one_class() -> None:
    teacher = SparseDistribution(torch.tensor([[2, 0]]), logs(0.5, 0.3), logs(0.2)[0])
    assert teacher.classes().exp().tolist()[0] == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)


def test_tokens_that_the_student_lacks_join_the_rest() -> None:
    teacher = SparseDistribution(torch.tensor([[2, -1]]), logs(0.5, 0.3), logs(0.2)[0])
    assert teacher.classes().exp().tolist()[0] == pytest.approx([0.5, 0.0, 0.5], abs=1e-6)


def test_where_nothing_is_left_the_rest_is_nothing() -> None:
    whole = SparseDistribution(torch.tensor([[1, 0]]), logs(0.75, 0.25), torch.tensor([-torch.inf]))
    assert whole.classes().exp().tolist()[0] == pytest.approx([0.75, 0.25, 0.0], abs=1e-6)


def test_what_rounding_took_is_given_back() -> None:
    # Stored in halves the shares may add up to 1.01: 0.5 / 1.01 and so on.
    teacher = SparseDistribution(torch.tensor([[2, 0]]), logs(0.5, 0.31), logs(0.2)[0])
    expected = [0.5 / 1.01, 0.31 / 1.01, 0.2 / 1.01]
    assert teacher.classes().exp().tolist()[0] == pytest.approx(expected, abs=1e-6)


def test_gold_cross_entropy_reads_the_target() -> None:
    losses = gold_cross_entropy(torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([0, 1]))
    assert losses.tolist() == pytest.approx([math.log(2), math.log(10)], abs=1e-6)
