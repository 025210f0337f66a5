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
    """The top of N distributions and the mass of the rest.

    Attributes:
        ids: Token ids in the student's vocabulary; -1 where the student has no such token. Shape [N, K].
        log_probs: Log-probabilities of these tokens, in nats. Shape [N, K].
        log_tail: Log of the mass of all other tokens, in nats. Shape [N].
        temperature: At which they were taken.
    """

    ids: torch.Tensor
    log_probs: torch.Tensor
    log_tail: torch.Tensor
    temperature: float = 1.0

    def classes(self) -> torch.Tensor:
        """Log-probabilities of the K kept tokens and the rest; tokens unknown to the student join the rest.

        What was stored in half precision adds up to 1 within a thousandth only, hence the last step.

        Returns:
            Shape [N, K + 1]; -inf for unknown tokens.
        """
        unknown = self.ids < 0
        lost = self.log_probs.masked_fill(~unknown, -torch.inf).logsumexp(-1)
        known = self.log_probs.masked_fill(unknown, -torch.inf)
        return torch.cat([known, torch.logaddexp(self.log_tail, lost)[:, None]], dim=1).log_softmax(-1)


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
