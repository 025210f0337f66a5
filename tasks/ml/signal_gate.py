"""Whether the teacher's top-k is enough: the KL that is stored beside the whole of it, on a sample.

By the chain rule KL(t || s) = KL over the K + 1 stored classes + t_tail KL(t in the tail || s in the tail):
what is stored is never more than the whole, and the second part is what storing loses. It depends on the
student, which is not there yet, so a stand-in takes its place: the teacher itself at twice the temperature, a
student that has learnt the order of tokens and is less sure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from tasks.ml.kd_loss import SparseDistribution, forward_kl
from tasks.ml.teacher_signal import keep_top, sparse

_STAND_IN_TEMPERATURE = 2.0
MOST = 1024  # tokens kept, whatever is lost


@dataclass(frozen=True)
class GateDecision:
    """How many tokens to keep, and why.

    Attributes:
        top_k: The first K of those tried that loses little enough, or the largest.
        lost: By K, the share of the whole KL that is lost.
        tokens: Positions in the sample.
    """

    top_k: int
    lost: dict[int, float]
    tokens: int


def decide_top_k(sample: Iterable[torch.Tensor], start: int, most_lost: float) -> GateDecision:
    """Double K from `start` until at most a share `most_lost` of the KL is lost.

    Args:
        sample: The teacher's log-probabilities over all V tokens. Shapes [n, V].
        start: Smallest K.
        most_lost: Largest share of the whole KL that may be lost.
    """
    whole, tokens = 0.0, 0
    stored: dict[int, float] = {}
    for log_probs in sample:
        stand_in = (log_probs / _STAND_IN_TEMPERATURE).log_softmax(-1)
        whole += float(forward_kl(log_probs, stand_in).sum())
        tokens += len(log_probs)
        for top_k in sizes(start, log_probs.shape[1]):
            stored[top_k] = stored.get(top_k, 0.0) + float(stored_kl(log_probs, stand_in, top_k).sum())
    lost = {top_k: 1 - kl / whole if whole else 0.0 for top_k, kl in stored.items()}
    enough = [top_k for top_k, share in lost.items() if share <= most_lost]
    return GateDecision(enough[0] if enough else max(lost, default=start), lost, tokens)


def stored_kl(teacher: torch.Tensor, student: torch.Tensor, top_k: int) -> torch.Tensor:
    """KL(teacher || student) over the K + 1 classes, the teacher's rounded as they are stored. Shape [N].

    Args:
        teacher: Log-probabilities over all V tokens. Shape [N, V].
        student: Likewise.
        top_k: K.
    """
    kept = sparse(keep_top(teacher, top_k), torch.arange(teacher.shape[1]), 1.0)
    theirs = student.gather(1, kept.ids)
    tail = student.scatter(1, kept.ids, -torch.inf).logsumexp(-1)
    return forward_kl(kept.classes(), SparseDistribution(kept.ids, theirs, tail).classes())


def sizes(start: int, vocabulary: int) -> Sequence[int]:
    """The K that are tried: `start` and its doubles, none above 1,024 or the vocabulary."""
    most = min(MOST, vocabulary)
    tried = [min(start, most)]
    while tried[-1] * 2 <= most:
        tried.append(tried[-1] * 2)
    return tried
