"""Teach the student: cross-entropy on gold answers, a divergence from the teacher where it was asked."""

from collections.abc import Sequence
from typing import Any

import torch

from configs.schema_distill import DistillConfig
from tasks.ml.batching import Group, PackedBatch, pack, plan_batches
from tasks.ml.kd_loss import (
    divergence,
    gold_cross_entropy,
    smoothed_cross_entropy,
    split_student,
    split_teacher,
)
from tasks.ml.models import hidden_states, response_log_probs
from tasks.ml.precision import arithmetic
from tasks.ml.sparse_mask import add_mask
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.trainer import Watch, train


def train_distill(
    student: Any,
    groups: Sequence[Group],
    held_out: Sequence[Group],
    signal: TeacherSignal,
    student_id: torch.Tensor,
    config: DistillConfig,
    seed: int,
    watch: Watch,
) -> None:
    """Train the student in place.

    Args:
        student: A causal language model.
        groups: Training questions in the student's ids; a branch's index is its example in `signal`.
        held_out: Validation questions with gold answers.
        signal: The teacher's top-k on the training answers.
        student_id: The student's id of each of the teacher's, -1 where it has none. Shape [V of teacher].
        config: The section.
        seed: Of the order of batches.
        watch: Who follows.
    """
    pad = student.config.pad_token_id

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        return distill_loss(student, batch, signal, student_id, config)

    def validate(steps: int) -> dict[str, float]:
        if steps % config.validate_every and steps != len(plan):
            return {}
        return {"valid_nll": mean_nll(student, held_out, config, pad)}

    plan = distill_plan(groups, config, seed)
    student.train()
    if config.tuning.way == "sparse_mask":
        add_mask(student, plan, lambda groups: loss_of(pack(groups, pad))[0], config, watch.checkpoints)
    train(student, plan, loss_of, config, pad, watch, validate if held_out else None)
    student.eval()


def distill_plan(groups: Sequence[Group], config: DistillConfig, seed: int) -> list[list[Group]]:
    """The groups of every optimiser step of all epochs."""
    return [
        batch
        for epoch in range(config.epochs)
        for batch in plan_batches(groups, config.token_budget, seed, epoch)
    ]


def distill_loss(
    student: Any, batch: PackedBatch, signal: TeacherSignal, student_id: torch.Tensor, config: DistillConfig
) -> tuple[torch.Tensor, dict[str, float]]:
    """(1 - w) CE(gold) + w D(teacher, student), mean over tokens, in nats; w = 0 where nobody scored."""
    log_probs = response_log_probs(student, hidden_states(student, batch), batch)
    per_token = gold_cross_entropy(log_probs, batch.target)
    points = {"gold_nll": per_token.detach().mean().item()}
    if config.label_smoothing:
        per_token = smoothed_cross_entropy(log_probs, batch.target, config.label_smoothing)
    known = signal.known(batch)
    if config.kd_weight and known.any():
        teacher = signal.at(batch, known, student_id)
        sides = (split_teacher(teacher), split_student(log_probs[known], teacher))
        distance = divergence(config.divergence, *sides, config.skew)
        weighted = per_token * (1 - config.kd_weight * known)
        per_token = weighted.index_add(0, known.nonzero().flatten(), config.kd_weight * distance)
        points["teacher_divergence"] = distance.detach().mean().item()
    return per_token.mean(), points


@torch.no_grad()
def mean_nll(model: Any, groups: Sequence[Group], config: DistillConfig, pad: int) -> float:
    """Mean negative log-likelihood of the gold answers' tokens, in nats."""
    model.eval()
    total, tokens = 0.0, 0
    for batch_groups in plan_batches(groups, config.token_budget, 0, 0):
        batch = pack(batch_groups, pad)
        with arithmetic(config.precision):
            log_probs = response_log_probs(model, hidden_states(model, batch), batch)
        total += float(gold_cross_entropy(log_probs, batch.target).sum())
        tokens += len(batch.target)
    model.train()
    return total / max(tokens, 1)
