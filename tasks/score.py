"""Stage `score`: what the teacher thinks of every token of the answers, for all students alike."""

from typing import Any

import torch

from configs.schema import TeacherConfig
from configs.schema_label import ScoreConfig
from tasks.ml.batching import Group, group_examples, plan_batches
from tasks.ml.precision import frozen_copy
from tasks.ml.prompts import encode
from tasks.ml.rows import Row, load_rows
from tasks.ml.seeding import stable_fraction
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal, join, score_batch
from tasks.stage import StageContext

ROW_TOKENS = 1024
SAVE_EVERY = 16  # teacher passes between checkpoints


def run(context: StageContext) -> dict[str, Any]:
    """Write `signal.safetensors`: the teacher's top-k at every token of a share of the answers."""
    config = context.section(ScoreConfig, "score")
    teacher_config = context.section(TeacherConfig, "teacher")
    model, tokenizer = load_teacher(teacher_config.source, teacher_config.revision, context.cache / "models")
    rows = load_rows(context.inputs["label"] / "rows.jsonl")
    signal = score(context, frozen_copy(model, config.precision), tokenizer, rows, config)
    signal.save(context.out / "signal.safetensors")
    summary = {
        "rows": len(rows),
        "tokens": int(signal.offsets[-1]),
        "gold_nll": gold_nll(signal, rows, tokenizer),
    }
    context.run.metrics({f"score/{name}": value for name, value in summary.items()})
    return summary


def score(
    context: StageContext, teacher: Any, tokenizer: Any, rows: list[Row], config: ScoreConfig
) -> TeacherSignal:
    """The teacher's top-k on the answers of a share of the groups; goes on from a checkpoint."""
    examples = [encode(tokenizer, row) for row in rows]
    groups = group_examples(examples, [row.context for row in rows], ROW_TOKENS)
    chosen = [group for group in groups if is_scored(rows, group, config.share)]
    plan = plan_batches(chosen, config.token_budget, context.seed, 0)
    bar = context.bar("score: teacher logits", len(plan), "passes")
    scored, first = _resume(context)
    bar.advance(first)
    for number in range(first, len(plan)):
        scored |= score_batch(teacher, plan[number], config.top_k, tokenizer.pad_token_id)
        bar.advance()
        if number % SAVE_EVERY == SAVE_EVERY - 1:
            tensors = {str(index): tensor for index, tensor in scored.items()}
            context.checkpoints.save("score", tensors, {"passes": number + 1})
    return join(scored, len(rows), config.top_k)


def is_scored(rows: list[Row], group: Group, share: float) -> bool:
    """Whether a group is in the share that the teacher scores; the draw is by the text of its facts."""
    row = rows[group.branches[0].index]
    return stable_fraction("scored", row.context or row.question) < share


def gold_nll(signal: TeacherSignal, rows: list[Row], tokenizer: Any) -> float:
    """The teacher's mean negative log-likelihood of scored answers, nats a token, bounded by its top-k."""
    targets = [
        token
        for index, row in enumerate(rows)
        if signal.offsets[index + 1] > signal.offsets[index]
        for token in encode(tokenizer, row).response
    ]
    if not targets:
        return 0.0
    hit = signal.ids == torch.tensor(targets, dtype=signal.ids.dtype)[:, None]
    floor = signal.log_probs[:, -1:].float()
    chosen = torch.where(hit, signal.log_probs.float(), torch.zeros(())).sum(1)
    return -float(torch.where(hit.any(1), chosen, floor.squeeze(1)).mean())


def _resume(context: StageContext) -> tuple[dict[int, torch.Tensor], int]:
    saved = context.checkpoints.load("score")
    if saved is None:
        return {}, 0
    tensors, state = saved
    return {int(index): tensor for index, tensor in tensors.items()}, int(state["passes"])
