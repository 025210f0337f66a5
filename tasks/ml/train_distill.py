"""Teach the student: cross-entropy on gold answers, a divergence from the teacher where it was asked."""

from collections.abc import Sequence
from typing import Any

import torch

from configs.schema_distill import DistillConfig
from tasks.ml.batching import Group, PackedBatch, pack, plan_batches, plan_epochs
from tasks.ml.distill_head import distill_head
from tasks.ml.kd_loss import SparseDistribution, divergence
from tasks.ml.models import hidden_states
from tasks.ml.on_policy import OnlineTeacher, OnPolicyPlan
from tasks.ml.precision import arithmetic
from tasks.ml.sparse_mask import add_mask
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.token_head import token_log_probs
from tasks.ml.trainer import Watch, train


def train_distill(
    student: Any,
    epochs: Sequence[Sequence[Group]],
    held_out: Sequence[Group],
    signal: TeacherSignal,
    student_id: torch.Tensor,
    config: DistillConfig,
    seed: int,
    watch: Watch,
    teacher: OnlineTeacher | None = None,
) -> None:
    """Train the student in place.

    Args:
        student: A causal language model.
        epochs: Training questions of each epoch in the student's ids; a branch's index is its example in
            `signal`.
        held_out: Validation questions with gold answers.
        signal: The teacher's top-k on the training answers.
        student_id: The student's id of each of the teacher's, -1 where it has none. Shape [V of teacher].
        config: The section.
        seed: Of the order of batches.
        watch: Who follows.
        teacher: Needed where `on_policy.share` is above 0.
    """
    pad = student.config.pad_token_id

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        if isinstance(plan, OnPolicyPlan) and plan.is_on_policy:
            loss, points = distill_loss(student, batch, plan.signal, student_id, taught)
            return loss, {"on_policy_divergence": points["teacher_divergence"]}
        return distill_loss(student, batch, signal, student_id, config)

    def validate(steps: int) -> dict[str, float]:
        if steps % config.validate_every and steps != len(plan):
            return {}
        return {"valid_nll": mean_nll(student, held_out, config, pad)}

    given = plan_epochs(epochs, config.token_budget, seed)
    plan: Sequence[list[Group]] = given
    # Nobody wrote a gold answer to what the student says.
    taught = config.model_copy(update={"kd_weight": 1.0})
    if teacher is not None and config.on_policy.share:
        plan = OnPolicyPlan(plan, signal, student, teacher, config.on_policy, config.precision, seed)
    student.train()
    if config.tuning.way == "sparse_mask":
        add_mask(student, given, lambda groups: loss_of(pack(groups, pad))[0], config, watch.checkpoints)
    train(student, plan, loss_of, config, pad, watch, validate if held_out else None)
    student.eval()


def distill_loss(
    student: Any, batch: PackedBatch, signal: TeacherSignal, student_id: torch.Tensor, config: DistillConfig
) -> tuple[torch.Tensor, dict[str, float]]:
    """Mean over N tokens, in nats, of (1 - w) CE(gold) + w T^2 D(teacher, student); w = 0 where not scored.

    Both distributions are taken at temperature T, whose square keeps the gradients' size (Hinton et al.
    2015, section 2).
    """
    states = hidden_states(student, batch)[batch.source]
    known = signal.known(batch) if config.kd_weight else torch.zeros(len(batch.target), dtype=torch.bool)
    teacher = spread(signal.at(batch, known, student_id), known) if known.any() else None
    return token_losses(student, states, batch.target, teacher, known, config)


def token_losses(
    student: Any,
    states: torch.Tensor,
    target: torch.Tensor,
    teacher: SparseDistribution | None,
    known: torch.Tensor,
    config: DistillConfig,
) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of N tokens from the states that predict them, and the points to log.

    Args:
        student: Its head is used.
        states: Shape [N, H].
        target: Gold tokens. Shape [N].
        teacher: Its distributions at all N tokens, or None.
        known: Where the teacher counts. Shape [N].
        config: Weight, divergence and skew.
    """
    if teacher is None:
        nll = -token_log_probs(states, student.lm_head.weight, target)[0].mean()
        return nll, {"gold_nll": nll.item()}
    sums = {"gold_nll": 0.0, "teacher_divergence": 0.0}
    share = config.kd_weight * known
    reference = teacher.classes()

    def loss_of(gold: torch.Tensor, classes: torch.Tensor, rows: slice) -> torch.Tensor:
        distance = divergence(config.divergence, reference[rows], classes, config.skew)
        sums["gold_nll"] -= float(gold.detach().sum())
        sums["teacher_divergence"] += float(distance.detach()[known[rows]].sum())
        weight = share[rows]
        return (weight * teacher.temperature**2 * distance - (1 - weight) * gold) / len(target)

    weight = student.lm_head.weight
    loss = distill_head(states, weight, target, teacher.ids, teacher.temperature, loss_of)
    return loss, {
        "gold_nll": sums["gold_nll"] / len(target),
        "teacher_divergence": sums["teacher_divergence"] / int(known.sum()),
    }


def spread(teacher: SparseDistribution, known: torch.Tensor) -> SparseDistribution:
    """Distributions of the known tokens among all N; the others have all their mass in the tail."""
    count, top_k = len(known), teacher.ids.shape[1]
    ids = torch.full((count, top_k), -1)
    log_probs, log_tail = torch.full((count, top_k), -torch.inf), torch.zeros(count)
    ids[known], log_probs[known], log_tail[known] = teacher.ids, teacher.log_probs, teacher.log_tail
    return SparseDistribution(ids, log_probs, log_tail, teacher.temperature)


@torch.no_grad()
def mean_nll(model: Any, groups: Sequence[Group], config: DistillConfig, pad: int) -> float:
    """Mean negative log-likelihood of the gold answers' tokens, in nats."""
    model.eval()
    total, tokens = 0.0, 0
    for batch_groups in plan_batches(groups, config.token_budget, 0, 0):
        batch = pack(batch_groups, pad)
        with arithmetic(config.precision):
            states = hidden_states(model, batch)[batch.source]
            total -= float(token_log_probs(states, model.lm_head.weight, batch.target)[0].sum())
        tokens += len(batch.target)
    model.train()
    return total / max(tokens, 1)
