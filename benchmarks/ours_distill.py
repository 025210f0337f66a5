"""Worker: this project's distillation: the teacher's logits are captured once and learnt several times."""

import time
from argparse import Namespace
from typing import Any

import torch

from benchmarks.distill_parts import dense_divergence, parse, print_answer, teacher_and_work
from benchmarks.distill_workload import (
    LEARNING_RATE,
    TOP_K,
    Questions,
    steps_of,
    student_folder,
    useful_flops,
)
from benchmarks.probe import peak_rss_mb
from configs.load import load_run_config
from configs.schema_distill import DistillConfig
from tasks.ml.attention import WRITTEN_OUT
from tasks.ml.batching import PackedBatch, fill
from tasks.ml.kd_loss import forward_kl
from tasks.ml.models import hidden_states, load_model, response_log_probs
from tasks.ml.precision import arithmetic, frozen_copy
from tasks.ml.teacher_signal import Scores, TeacherSignal, dense_log_probs, score_batch
from tasks.ml.train_distill import distill_loss
from tasks.ml.trainer import Loss, Watch, train
from tasks.shared.hardware import keep_freed_memory

_CAPTURE_TOKENS = 1024


def settings(options: Namespace) -> DistillConfig:
    """The section `distill`: nothing but the divergence from the teacher."""
    base = load_run_config(None, []).distill
    changes = {"kd_weight": 1.0, "learning_rate": LEARNING_RATE, "warmup_steps": 1, "weight_decay": 0.0}
    return base.model_copy(update={**changes, "precision": options.precision, "checkpoint_seconds": 1e9})


def capture(teacher: Any, work: Questions, precision: Any, pad: int) -> TeacherSignal:
    """The teacher's top-k on all answers."""
    scored: dict[int, Scores] = {}
    frozen = frozen_copy(teacher, precision)
    for part in fill(work.groups(), _CAPTURE_TOKENS):
        scored |= score_batch(frozen, part, TOP_K, 1.0, pad)
    return TeacherSignal.join(scored, len(work.examples), TOP_K, 1.0)


def stored_loss(student: Any, signal: TeacherSignal, config: DistillConfig) -> Loss:
    """The divergence from what was stored."""
    ids = torch.arange(student.config.vocab_size)

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        return distill_loss(student, batch, signal, ids, config)

    return loss_of


def dense_loss(student: Any, teacher: Any) -> Loss:
    """The same divergence from the whole distribution, computed at every step."""

    def loss_of(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        with torch.no_grad():
            theirs = torch.cat(list(dense_log_probs(teacher, batch, 1.0)))
        ours = response_log_probs(student, hidden_states(student, batch), batch)
        return forward_kl(theirs.clone(), ours).mean(), {}

    return loss_of


def main() -> None:
    """Capture and train, and print seconds."""
    options = parse(__doc__)
    keep_freed_memory()
    rss_before_mb = peak_rss_mb()
    teacher, tokenizer, work, held_out = teacher_and_work(options)
    pad, size = tokenizer.pad_token_id, _sizes(teacher)
    student = load_model(student_folder(options.workload, options.student))
    student.set_attn_implementation(WRITTEN_OUT)
    config = settings(options)
    started = time.perf_counter()
    if options.targets == "dense":
        signal, loss_of = None, dense_loss(student, teacher)
    else:
        signal = capture(teacher, work, options.precision, pad)
        loss_of = stored_loss(student, signal, config)
    captured = time.perf_counter()
    del teacher  # who learns from what was stored needs it no more
    seen: list[int] = []

    def counted(batch: PackedBatch) -> tuple[torch.Tensor, dict[str, float]]:
        seen.extend(sizes[index] for index in batch.branch.tolist())
        return loss_of(batch)

    sizes, plan = work.sizes(), steps_of(work, options.form, options.epochs)
    train(student.train(), plan, counted, config, pad, Watch())
    seconds = time.perf_counter() - started
    memory = peak_rss_mb()
    teacher = teacher_and_work(options)[0]
    with arithmetic(options.precision):
        divergence = dense_divergence(teacher, student.eval(), held_out, pad)
    extra = {
        "seconds": seconds,
        "tokens": sum(seen),
        "steps": len(plan),
        "capture_seconds": captured - started,
        "useful_flops": useful_flops(work, size, _sizes(student), options.epochs),
        "valid_kl": divergence,
        "bytes_per_token": signal.bytes_per_token if signal else None,
        "peak_rss_mb": memory,
        "rss_before_mb": rss_before_mb,
    }
    print_answer(options, extra)


def _sizes(model: Any) -> tuple[int, int]:
    head = model.config.hidden_size * model.config.vocab_size
    return sum(parameter.numel() for parameter in model.parameters()) - head, head


if __name__ == "__main__":
    main()
