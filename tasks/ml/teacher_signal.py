"""What the teacher thinks of each answer token: its top-k tokens and their log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from tasks.ml.batching import Group, PackedBatch, pack
from tasks.ml.kd_loss import SparseDistribution


@dataclass(frozen=True)
class TeacherSignal:
    """Top-k of every response token of M examples, laid end to end.

    Attributes:
        ids: The teacher's token ids. Shape [N, K], int32.
        log_probs: Their log-probabilities in nats. Shape [N, K], fp16.
        offsets: Where each example's tokens start, and the end. Shape [M + 1]. An example without tokens
            was not scored.
    """

    ids: torch.Tensor
    log_probs: torch.Tensor
    offsets: torch.Tensor

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        save_file({"ids": self.ids, "log_probs": self.log_probs, "offsets": self.offsets}, path)

    @classmethod
    def load(cls, path: Path) -> "TeacherSignal":
        """Read what `save` wrote."""
        return cls(**load_file(path))

    def extended(self, examples: int) -> "TeacherSignal":
        """The same for more examples, of which those that come new were not scored."""
        more = self.offsets[-1:].expand(examples + 1 - len(self.offsets))
        return TeacherSignal(self.ids, self.log_probs, torch.cat([self.offsets, more]))

    def known(self, batch: PackedBatch) -> torch.Tensor:
        """Which of a batch's response tokens were scored. Shape [N], bool."""
        return self.offsets[batch.example + 1] > self.offsets[batch.example]

    def at(self, batch: PackedBatch, known: torch.Tensor, student_id: torch.Tensor) -> SparseDistribution:
        """The signal of a batch's scored tokens, in the student's ids.

        Args:
            batch: A packed batch with N response tokens.
            known: Which of them were scored.
            student_id: The student's id of each of the teacher's, -1 where it has none.
        """
        rows = self.offsets[batch.example[known]] + batch.step[known]
        return SparseDistribution(student_id[self.ids[rows].long()], self.log_probs[rows].float())


@torch.inference_mode()
def score_batch(
    teacher: PreTrainedModel, groups: Sequence[Group], top_k: int, pad: int
) -> dict[int, torch.Tensor]:
    """One teacher pass over packed groups.

    Returns:
        By example: a tensor [T, 2, K] of ids and log-probabilities of its T response tokens, in fp32.
    """
    batch = pack(groups, pad)
    hidden = teacher.model(
        input_ids=batch.input_ids, attention_mask=batch.mask, position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    logits = teacher.lm_head(hidden.flatten(0, 1)[batch.source]).float()
    log_probs, ids = logits.log_softmax(-1).topk(top_k, dim=-1)
    both = torch.stack([ids.float(), log_probs], dim=1)
    return {int(index): both[batch.example == index] for index in batch.example.unique()}


def join(scored: dict[int, torch.Tensor], examples: int, top_k: int) -> TeacherSignal:
    """Lay the scores of all examples end to end; examples that were not scored get no tokens."""
    empty = torch.empty(0, 2, top_k)
    parts = [scored.get(index, empty) for index in range(examples)]
    lengths = torch.tensor([0, *(len(part) for part in parts)])
    table = torch.cat(parts)
    return TeacherSignal(table[:, 0].int(), table[:, 1].half(), lengths.cumsum(0))
