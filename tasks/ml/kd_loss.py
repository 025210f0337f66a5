"""Losses between a teacher's and a student's distribution, in nats per token, one number a position.

Notation: N positions, V student vocabulary, K teacher tokens kept. The teacher's signal is sparse: its K most
probable tokens and the mass of all others, which both sides treat as one extra class, so that every
divergence is a true divergence between two distributions over K + 1 classes.
"""

import math
from dataclasses import dataclass

import torch

from configs.section import Divergence


@dataclass(frozen=True)
class SparseDistribution:
    """The top of a distribution and the rest.

    Attributes:
        ids: Token ids in the student's vocabulary; -1 where the student has no such token. Shape [N, K].
        log_probs: Log-probabilities of these tokens, in nats. Shape [N, K].
    """

    ids: torch.Tensor
    log_probs: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> "SparseDistribution":
        return SparseDistribution(self.ids[rows], self.log_probs[rows])


def log_rest(log_probs: torch.Tensor) -> torch.Tensor:
    """Log of the mass that log-probabilities leave: log(1 - sum exp), of at least 1e-6. Shape [N]."""
    return torch.log1p(-log_probs.exp().sum(-1).clamp(max=1 - 1e-6))


def split_teacher(teacher: SparseDistribution) -> torch.Tensor:
    """Log-probabilities of the K kept tokens and the rest; tokens unknown to the student join the rest.

    Returns:
        Shape [N, K + 1]; -inf for unknown tokens.
    """
    known = teacher.log_probs.masked_fill(teacher.ids < 0, -torch.inf)
    return torch.cat([known, log_rest(known)[:, None]], dim=1)


def split_student(log_probs: torch.Tensor, teacher: SparseDistribution) -> torch.Tensor:
    """The student's log-probabilities on the teacher's K + 1 classes.

    Args:
        log_probs: The student's log-probabilities. Shape [N, V].
        teacher: Whose classes to use.

    Returns:
        Shape [N, K + 1]; -inf for unknown tokens.
    """
    chosen = log_probs.gather(1, teacher.ids.clamp(min=0)).masked_fill(teacher.ids < 0, -torch.inf)
    return torch.cat([chosen, log_rest(chosen)[:, None]], dim=1)


def forward_kl(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """KL(teacher || student) = sum_c t_c (log t_c - log s_c), with 0 log 0 = 0. Shape [N].

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", at temperature 1; the entropy
    of the teacher is kept, so that the loss of a perfect student is 0.

    Args:
        teacher: Log-probabilities over the same classes. Shape [N, C].
        student: Likewise.
    """
    present = teacher > -torch.inf
    difference = torch.where(present, teacher - student.masked_fill(~present, 0.0), 0.0)
    return (teacher.exp() * difference).sum(-1)


def reverse_kl(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """KL(student || teacher): the student is blamed for what the teacher would not say. Shape [N].

    Source: Gu et al. 2024, "MiniLLM"; here token by token on given answers.
    """
    return forward_kl(student, teacher)


def jensen_shannon(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """(KL(t || m) + KL(s || m)) / 2 with m = (t + s) / 2; symmetric and at most log 2. Shape [N].

    Source: Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    middle = log_mixture(teacher, student, 0.5)
    return 0.5 * (forward_kl(teacher, middle) + forward_kl(student, middle))


def skewed_kl(teacher: torch.Tensor, student: torch.Tensor, skew: float) -> torch.Tensor:
    """KL(t || a t + (1 - a) s) with skew a: bounded by -log a, however little the student gives. Shape [N].

    Source: Ko et al. 2024, "DistiLLM".
    """
    return forward_kl(teacher, log_mixture(teacher, student, skew))


def skewed_reverse_kl(teacher: torch.Tensor, student: torch.Tensor, skew: float) -> torch.Tensor:
    """KL(s || a s + (1 - a) t) with skew a. Shape [N]. Source: Ko et al. 2024."""
    return skewed_kl(student, teacher, skew)


def divergence(kind: Divergence, teacher: torch.Tensor, student: torch.Tensor, skew: float) -> torch.Tensor:
    """The divergence of that name; `skew` matters to the skewed ones. Shape [N]."""
    match kind:
        case "forward_kl":
            return forward_kl(teacher, student)
        case "reverse_kl":
            return reverse_kl(teacher, student)
        case "jensen_shannon":
            return jensen_shannon(teacher, student)
        case "skewed_kl":
            return skewed_kl(teacher, student, skew)
        case "skewed_reverse_kl":
            return skewed_reverse_kl(teacher, student, skew)


def log_mixture(first: torch.Tensor, second: torch.Tensor, share: float) -> torch.Tensor:
    """log(a e^first + (1 - a) e^second) with share a; -inf, and no gradient, where both are. Shape [N, C]."""
    absent = (first == -torch.inf) & (second == -torch.inf)
    first, second = first.masked_fill(absent, 0.0), second.masked_fill(absent, 0.0)
    mixed = torch.logaddexp(first + math.log(share), second + math.log(1 - share))
    return mixed.masked_fill(absent, -torch.inf)


def gold_cross_entropy(log_probs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """-log p(target) at each position. Shape [N]."""
    return -log_probs.gather(1, target[:, None]).squeeze(1)


def smoothed_cross_entropy(log_probs: torch.Tensor, target: torch.Tensor, smoothing: float) -> torch.Tensor:
    """-(1 - e) log p(target) - e mean_v log p(v): the target keeps 1 - e + e / V of its mass. Shape [N].

    Source: Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.
    """
    return (1 - smoothing) * gold_cross_entropy(log_probs, target) - smoothing * log_probs.mean(-1)
