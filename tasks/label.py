"""Stage `label`: what the teacher thinks of the gold answers, and what it answers to open questions."""

from collections import Counter
from typing import Any

import torch

from configs.schema import LabelConfig, TeacherConfig
from tasks.ml.answering import write_answers
from tasks.ml.batching import Group, group_examples, plan_batches
from tasks.ml.precision import frozen_copy
from tasks.ml.prompts import encode
from tasks.ml.rows import Row, load_rows, write_rows
from tasks.ml.rubric import judge
from tasks.ml.sampling import Sampling
from tasks.ml.seeding import stable_fraction
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal, join, score_batch
from tasks.stage import StageContext

ROW_TOKENS = 1024
SAVE_EVERY = 16  # teacher passes between checkpoints


def run(context: StageContext) -> dict[str, Any]:
    """Write `rows.jsonl` (training rows with an answer) and `signal.safetensors` (the teacher's top-k)."""
    config = context.section(LabelConfig, "label")
    teacher_config = context.section(TeacherConfig, "teacher")
    model, tokenizer = load_teacher(teacher_config.source, teacher_config.revision, context.cache / "models")
    teacher = frozen_copy(model, config.precision)
    train = load_rows(context.inputs["clean"] / "rows.jsonl", "train")
    gold = [row for row in train if row.answer is not None]
    asked = [row for row in train if row.answer is None][: config.open_questions]
    written, drops = answer_open_questions(context, teacher, tokenizer, asked, config)
    labelled = gold + written
    signal = score(context, teacher, tokenizer, labelled, config)
    write_rows(context.out / "rows.jsonl", labelled)
    signal.save(context.out / "signal.safetensors")
    summary = {
        "rows": len(labelled),
        "gold": len(gold),
        "open_asked": len(asked),
        "open_kept": len(written),
        "open_dropped": dict(drops),
        "scored_tokens": int(signal.offsets[-1]),
        "gold_nll": gold_nll(signal, labelled, tokenizer),
    }
    context.run.metrics(
        {f"label/{name}": value for name, value in summary.items() if isinstance(value, int | float)}
    )
    return summary


def answer_open_questions(
    context: StageContext, teacher: Any, tokenizer: Any, rows: list[Row], config: LabelConfig
) -> tuple[list[Row], Counter[str]]:
    """Let the teacher write; keep what stops, does not repeat itself, and agrees with the table."""
    drops: Counter[str] = Counter()
    if not rows:
        return [], drops
    sampling = Sampling(
        config.max_new_tokens,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        config.temperature,
        context.seed,
    )
    asked = [row for row in rows for _ in range(config.samples)]
    bar = context.bar("label: teacher answers", len(asked), "answers")
    kept: dict[str, Row] = {}
    table = []
    answers = write_answers(teacher, tokenizer, asked, sampling, bar)
    for row, answer in zip(asked, answers, strict=True):
        reason = why_not(row, answer.text, answer.stopped)
        table.append({"question": row.question, "answer": answer.text, "dropped": reason or ""})
        if reason:
            drops[reason] += 1
        else:
            kept.setdefault(row.id, row.model_copy(update={"answer": answer.text}))
    context.run.table("teacher_answers.json", table)
    return list(kept.values()), drops


def why_not(row: Row, answer: str, did_stop: bool) -> str | None:
    """Why a teacher's answer is not fit to learn from, or None."""
    judgement = judge(row, answer, did_stop)
    if judgement.failed:
        return "empty or repetitive"
    if not did_stop:
        return "did not stop"
    return None if judgement.correct else "disagrees with the table, or states no fact"


def score(
    context: StageContext, teacher: Any, tokenizer: Any, rows: list[Row], config: LabelConfig
) -> TeacherSignal:
    """The teacher's top-k on the answers of a share of the groups; goes on from a checkpoint."""
    examples = [encode(tokenizer, row) for row in rows]
    groups = group_examples(examples, [row.context for row in rows], ROW_TOKENS)
    chosen = [group for group in groups if is_scored(rows, group, config.scored_share)]
    plan = plan_batches(chosen, config.token_budget, context.seed, 0)
    bar = context.bar("label: teacher logits", len(plan), "passes")
    scored, first = _resume(context)
    bar.advance(first)
    for number in range(first, len(plan)):
        scored |= score_batch(teacher, plan[number], config.top_k, tokenizer.pad_token_id)
        bar.advance()
        if number % SAVE_EVERY == SAVE_EVERY - 1:
            tensors = {str(index): tensor for index, tensor in scored.items()}
            context.checkpoints.save("label", tensors, {"passes": number + 1})
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
    saved = context.checkpoints.load("label")
    if saved is None:
        return {}, 0
    tensors, state = saved
    return {int(index): tensor for index, tensor in tensors.items()}, int(state["passes"])
