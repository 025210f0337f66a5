"""Stage `label`: the teacher answers open questions; what does not survive the checks is dropped."""

from collections import Counter
from typing import Any

from configs.schema import TeacherConfig
from configs.schema_label import LabelConfig
from tasks.ml.answering import write_answers
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import Row, load_rows, write_rows
from tasks.ml.rubric import judge
from tasks.ml.sampling import Sampling
from tasks.ml.teacher import load_teacher
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `rows.jsonl`: training rows with an answer, gold or the teacher's."""
    config = context.section(LabelConfig, "label")
    teacher_config = context.section(TeacherConfig, "teacher")
    model, tokenizer = load_teacher(teacher_config.source, teacher_config.revision, context.cache / "models")
    teacher = frozen_copy(model, config.precision)
    train = load_rows(context.inputs["clean"] / "rows.jsonl", "train")
    gold = [row for row in train if row.answer is not None]
    asked = [row for row in train if row.answer is None][: config.open_questions]
    written, drops = answer_open_questions(context, teacher, tokenizer, asked, config)
    labelled = gold + written
    write_rows(context.out / "rows.jsonl", labelled)
    summary = {
        "rows": len(labelled),
        "gold": len(gold),
        "open_asked": len(asked),
        "open_kept": len(written),
        "open_dropped": dict(drops),
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
