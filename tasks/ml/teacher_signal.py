"""What the teacher thinks of each answer token: its top-k tokens, their log-probabilities, the tail's mass.

A token takes 4 k + 4 bytes (132 at k = 32): ids in 16 bits where the vocabulary allows it, log-probabilities
in fp16, the log of the tail's mass in fp32. The files are mapped into memory, not read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tasks.ml.batching import Group, PackedBatch, pack
from tasks.ml.kd_loss import SparseDistribution

_COLUMNS = ("ids", "log_probs", "log_tail")
_FILES = (*_COLUMNS, "spans")
_ABOUT = "signal.json"
_ROWS = 128  # distributions over all tokens in memory at a time


@dataclass(frozen=True)
class Scores:
    """The teacher's top-k at T tokens, as it is stored.

    Attributes:
        ids: The teacher's token ids, most probable first, uint16 or int32. Shape [T, K].
        log_probs: Their log-probabilities in nats, fp16. Shape [T, K].
        log_tail: Log of the mass of all other tokens in nats, fp32; -inf where there is none. Shape [T].
    """

    ids: NDArray[Any]
    log_probs: NDArray[np.float16]
    log_tail: NDArray[np.float32]

    @classmethod
    def empty(cls, top_k: int) -> "Scores":
        """Scores of no token."""
        return cls(np.empty((0, top_k), np.uint16), np.empty((0, top_k), np.float16), np.empty(0, np.float32))

    def to_bytes(self) -> bytes:
        """The three tables one after another, behind one byte: the size of an id."""
        return bytes([self.ids.itemsize]) + b"".join(getattr(self, name).tobytes() for name in _COLUMNS)

    @classmethod
    def from_bytes(cls, data: bytes, top_k: int) -> "Scores":
        """Read what `to_bytes` wrote."""
        size, kind = data[0], np.uint16 if data[0] == 2 else np.int32
        count = (len(data) - 1) // (top_k * (size + 2) + 4)
        first, second = 1 + count * top_k * size, 1 + count * top_k * (size + 2)
        return cls(
            np.frombuffer(data[1:first], kind).reshape(count, top_k),
            np.frombuffer(data[first:second], np.float16).reshape(count, top_k),
            np.frombuffer(data[second:], np.float32),
        )


@dataclass(frozen=True)
class TeacherSignal(Scores):
    """The scores of M examples, laid end to end.

    Attributes:
        spans: Where each example's tokens start and end; one without tokens was not scored. Shape [M, 2].
        temperature: At which the scores were taken.
    """

    spans: NDArray[np.int64]
    temperature: float = 1.0

    @classmethod
    def none(cls, examples: int) -> "TeacherSignal":
        """Nobody scored anything."""
        return cls.join({}, examples, 1, 1.0)

    @classmethod
    def join(
        cls, scored: Mapping[int, Scores], examples: int, top_k: int, temperature: float
    ) -> "TeacherSignal":
        """Lay the scores of examples end to end; those that were not scored get no tokens."""
        nothing = Scores.empty(top_k)
        parts = [scored.get(index, nothing) for index in range(examples)]
        ends = np.cumsum([len(part.log_tail) for part in parts], dtype=np.int64)
        starts = ends - [len(part.log_tail) for part in parts]
        ids, log_probs, log_tail = (
            np.concatenate([getattr(part, name) for part in (nothing, *parts)]) for name in _COLUMNS
        )
        return cls(ids, log_probs, log_tail, np.stack([starts, ends], axis=1), temperature)

    def save(self, folder: Path) -> None:
        """Write one `.npy` file a table, and the temperature."""
        folder.mkdir()
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (folder / _ABOUT).write_text(json.dumps({"temperature": self.temperature}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "TeacherSignal":
        """Map what `save` wrote into memory."""
        tables = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _FILES)
        ids, log_probs, log_tail, spans = tables
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        return cls(ids, log_probs, log_tail, spans, about["temperature"])

    @property
    def bytes_per_token(self) -> float:
        """Bytes of the three tables over scored tokens; 0 if there are none."""
        size = sum(getattr(self, name).nbytes for name in _COLUMNS)
        return float(size / max(1, len(self.log_tail)))

    def chosen(self, indices: Sequence[int | None]) -> "TeacherSignal":
        """The same for other examples: those of these indices, and None for ones that were not scored."""
        spans = np.zeros((len(indices), 2), np.int64)
        for place, index in enumerate(indices):
            if index is not None:
                spans[place] = self.spans[index]
        return replace(self, spans=spans)

    def known(self, batch: PackedBatch) -> torch.Tensor:
        """Which of a batch's response tokens were scored. Shape [N], bool."""
        example = batch.example.numpy()
        return torch.from_numpy(self.spans[example, 1] > self.spans[example, 0])

    def at(self, batch: PackedBatch, known: torch.Tensor, student_id: torch.Tensor) -> SparseDistribution:
        """The signal of a batch's scored tokens, in the student's ids.

        Args:
            batch: A packed batch with N response tokens.
            known: Which of them were scored.
            student_id: The student's id of each of the teacher's, -1 where it has none.
        """
        rows = self.spans[batch.example[known].numpy(), 0] + batch.step[known].numpy()
        scores = Scores(self.ids[rows], self.log_probs[rows], self.log_tail[rows])
        return sparse(scores, student_id, self.temperature)


def sparse(scores: Scores, student_id: torch.Tensor, temperature: float) -> SparseDistribution:
    """Scores in the student's ids."""
    ids = student_id[torch.from_numpy(scores.ids.astype(np.int64))]
    log_probs = torch.from_numpy(scores.log_probs.astype(np.float32))
    return SparseDistribution(ids, log_probs, torch.from_numpy(np.array(scores.log_tail)), temperature)


def id_type(vocabulary: int) -> "np.dtype[Any]":
    """The smallest type that holds the ids of a vocabulary."""
    return np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.int32)


@torch.inference_mode()
def dense_log_probs(
    teacher: PreTrainedModel, batch: PackedBatch, temperature: float
) -> Iterator[torch.Tensor]:
    """Log-probabilities of all V tokens at N response tokens, in fp32 nats, some rows at a time.

    Yields:
        Shape [n, V], n at most 128; together N rows.
    """
    hidden = teacher.model(
        input_ids=batch.input_ids, attention_mask=batch.mask, position_ids=batch.position_ids, use_cache=False
    ).last_hidden_state
    for rows in hidden.flatten(0, 1)[batch.source].split(_ROWS):
        yield (teacher.lm_head(rows).float() / temperature).log_softmax(-1)


def keep_top(log_probs: torch.Tensor, top_k: int) -> Scores:
    """The K most probable tokens of each distribution and the mass of all others.

    The tail is summed, not taken as 1 less the top, of which nothing would be left where the top is sure.

    Args:
        log_probs: Shape [N, V].
        top_k: K, at most V.
    """
    top, ids = log_probs.topk(top_k, dim=-1)
    tail = log_probs.scatter(1, ids, -torch.inf).logsumexp(-1)
    kind = id_type(log_probs.shape[1])
    return Scores(ids.numpy().astype(kind), top.half().numpy(), tail.float().numpy())


def score_batch(
    teacher: PreTrainedModel, groups: Sequence[Group], top_k: int, temperature: float, pad: int
) -> dict[int, Scores]:
    """One teacher pass over packed groups; gives the scores of each example's response tokens."""
    batch = pack(groups, pad)
    parts = [keep_top(log_probs, top_k) for log_probs in dense_log_probs(teacher, batch, temperature)]
    tables = [np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS]
    example = batch.example.numpy()
    return {
        index: Scores(*(table[example == index] for table in tables))
        for index in dict.fromkeys(example.tolist())
    }
