"""On-policy distillation: the student answers, the teacher says what it thinks of every token of that.

What a student learns on given answers does not tell it how to go on from its own mistakes. Source: Agarwal et
al. 2024, "On-Policy Distillation of Language Models: Learning from Self-Generated Mistakes" (GKD).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import torch
from transformers import PreTrainedModel

from configs.schema_distill import OnPolicyConfig
from configs.section import Precision
from tasks.ml.batching import Branch, Group
from tasks.ml.decode import decode
from tasks.ml.precision import frozen_copy
from tasks.ml.sampling import Sampling
from tasks.ml.seeding import stable_fraction, stable_hash
from tasks.ml.teacher_signal import TeacherSignal, score_batch


@dataclass(frozen=True)
class OnlineTeacher:
    """A teacher at hand while the student learns.

    Attributes:
        model: The causal language model, in the precision of inference.
        teacher_id: The teacher's id of each of the student's. Shape [V of student].
        pad: The teacher's padding token.
        top_k: Tokens of each of its distributions that are compared.
        temperature: At which they are compared.
    """

    model: PreTrainedModel
    teacher_id: torch.Tensor
    pad: int
    top_k: int
    temperature: float

    def signal(self, groups: Sequence[Group], examples: int) -> TeacherSignal:
        """Its top-k on the answers of groups in the student's ids, whose indices are below `examples`."""
        own = [self._translated(group) for group in groups]
        scored = score_batch(self.model, own, self.top_k, self.temperature, self.pad)
        return TeacherSignal.join(scored, examples, self.top_k, self.temperature)

    def _translated(self, group: Group) -> Group:
        branches = tuple(
            replace(branch, tail=self._ids(branch.tail), response=self._ids(branch.response))
            for branch in group.branches
        )
        return Group(self._ids(group.prefix), branches)

    def _ids(self, tokens: Sequence[int]) -> tuple[int, ...]:
        return tuple(self.teacher_id[torch.tensor(tokens, dtype=torch.long)].tolist())


def invert(student_id: torch.Tensor, student_vocabulary: int) -> torch.Tensor:
    """The teacher's id of each of the student's, from the student's of each of the teacher's.

    Raises:
        ValueError: The student has tokens that the teacher has not.
    """
    teacher_id = torch.full((student_vocabulary,), -1)
    known = (student_id >= 0).nonzero().flatten()
    teacher_id[student_id[known]] = known
    if (teacher_id < 0).any():
        raise ValueError(f"{int((teacher_id < 0).sum())} of the student's tokens are unknown to the teacher")
    return teacher_id


def answer_groups(student: Any, groups: Sequence[Group], sampling: Sampling) -> list[Group]:
    """The same questions with the student's own answers, numbered from 0 as branch by branch they come.

    A question that a mixture draws twice is answered twice, so its old number would not name one answer.
    """
    prompts = [group.prefix + branch.tail for group in groups for branch in group.branches]
    keys = [str(number) for number, group in enumerate(groups) for _ in group.branches]
    answers = enumerate(decode(student, prompts, keys, sampling))
    return [
        Group(group.prefix, tuple(_answered(branch, *next(answers)) for branch in group.branches))
        for group in groups
    ]


def _answered(branch: Branch, index: int, response: tuple[int, ...]) -> Branch:
    return Branch(branch.tail, response, index)


class OnPolicyPlan(Sequence[list[Group]]):
    """A plan in which the student answers the questions of some steps anew when their turn comes.

    Which steps, and which noise, depends on seed and step alone, so a resumed run does the same.

    Args:
        plan: The groups of every step, with the answers given.
        stored: The teacher's signal on these answers.
        student: What is being trained; it answers as it is when a step is taken.
        teacher: Says what it thinks of the student's answers.
        config: How often, and how the student answers.
        precision: Of the student while it answers.
        seed: Of the draws.

    Attributes:
        signal: The teacher's signal on the answers of the step that was looked up last.
        is_on_policy: Whether these are the student's own.
    """

    def __init__(
        self,
        plan: Sequence[list[Group]],
        stored: TeacherSignal,
        student: Any,
        teacher: OnlineTeacher,
        config: OnPolicyConfig,
        precision: Precision,
        seed: int,
    ) -> None:
        self._plan, self._stored, self._student, self._teacher = plan, stored, student, teacher
        self._config, self._precision, self._seed = config, precision, seed
        self.signal, self.is_on_policy = stored, False

    def __len__(self) -> int:
        return len(self._plan)

    @overload
    def __getitem__(self, step: int) -> list[Group]: ...
    @overload
    def __getitem__(self, step: slice) -> Sequence[list[Group]]: ...
    def __getitem__(self, step: int | slice) -> list[Group] | Sequence[list[Group]]:
        """The groups of a step, answered now if it is on-policy."""
        if isinstance(step, slice):
            raise TypeError("a step is answered when its turn comes; take one at a time")
        groups = self._plan[step]
        self.is_on_policy = stable_fraction("on-policy", self._seed, step) < self._config.share
        self.signal = self._stored
        if self.is_on_policy:
            groups = answer_groups(self._answering(), groups, self._sampling(step))
            self.signal = self._teacher.signal(groups, sum(len(group.branches) for group in groups))
        return groups

    def _answering(self) -> Any:
        copied = frozen_copy(self._student, self._precision)
        return copied.requires_grad_(False)

    def _sampling(self, step: int) -> Sampling:
        tokens = self._student.config
        return Sampling(
            self._config.max_new_tokens,
            tokens.eos_token_id,
            tokens.pad_token_id,
            self._config.temperature,
            seed=stable_hash("on-policy answers", self._seed, step),
        )
