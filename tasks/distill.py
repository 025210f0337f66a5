"""Stage `distill`: make the student and teach it the labels."""

from typing import Any

import torch

from configs.schema import TeacherConfig
from configs.schema_distill import DistillConfig
from configs.schema_student import StudentConfig
from tasks.ml.batching import Group, group_examples
from tasks.ml.models import parameter_count, save_model
from tasks.ml.prompts import encode
from tasks.ml.rows import Row, load_rows
from tasks.ml.student import Student, make_student
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.token_mapping import TokenMapping
from tasks.ml.train_distill import distill_plan, mean_nll, train_distill
from tasks.ml.vocabulary import domain_texts
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `unrefined/` (the student before it learnt anything) and `model/` (the distilled student)."""
    config = context.section(DistillConfig, "distill")
    rows = load_rows(context.inputs["label"] / "rows.jsonl")
    valid = [r for r in load_rows(context.inputs["clean"] / "rows.jsonl", "valid") if r.answer is not None]
    student = student_of(context, rows)
    model, tokenizer = student.model, student.tokenizer
    save_model(context.out / "unrefined", model, tokenizer)
    groups, held_out = _groups(tokenizer, rows, config), _groups(tokenizer, valid, config)
    signal, student_id = what_the_teacher_thinks(context, student.tokens, len(rows))
    watch = context.watch("distill", len(distill_plan(groups, config, context.seed)))
    train_distill(model, groups, held_out, signal, student_id, config, context.seed, watch)
    save_model(context.out / "model", model, tokenizer)
    summary = {
        "parameters": parameter_count(model),
        "layers": list(student.layers),
        "vocabulary": model.config.vocab_size,
        "valid_nll": mean_nll(model, held_out, config, tokenizer.pad_token_id) if held_out else None,
        "relation": student.tokens.kind,
        "relation_message": student.tokens.message,
    }
    context.run.metrics({f"distill/{k}": v for k, v in summary.items() if isinstance(v, int | float)})
    return summary


def student_of(context: StageContext, rows: list[Row]) -> Student:
    """The student before training; what it can learn from the teacher is said at once."""
    teacher_config = context.section(TeacherConfig, "teacher")
    teacher, full = load_teacher(teacher_config.source, teacher_config.revision, context.cache / "models")
    lexicon = (context.inputs["clean"] / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    texts = domain_texts(full, load_rows(context.inputs["clean"] / "rows.jsonl") + rows, lexicon)
    section = context.section(StudentConfig, "student")
    student = make_student(section, teacher, full, rows, texts, context.seed, context.cache / "models")
    if student.layer_table:
        context.run.table("layers.json", student.layer_table)
    context.bars.say(f"distill: {student.tokens.message}")
    context.run.text("relation.txt", student.tokens.message)
    return student


def what_the_teacher_thinks(
    context: StageContext, tokens: TokenMapping, examples: int
) -> tuple[TeacherSignal, torch.Tensor]:
    """The teacher's logits and the student's ids of its tokens; none of either where cuts differ."""
    if tokens.student_id is None:
        return TeacherSignal.none(examples), torch.empty(0, dtype=torch.long)
    return TeacherSignal.load(context.inputs["score"] / "signal"), tokens.student_id


def _groups(tokenizer: Any, rows: list[Row], config: DistillConfig) -> list[Group]:
    examples = [encode(tokenizer, row) for row in rows]
    return group_examples(examples, [row.context for row in rows], config.row_tokens)
