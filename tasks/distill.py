"""Stage `distill`: cut the student out of the teacher and teach it the labels."""

from typing import Any

import torch

from configs.schema import TeacherConfig
from configs.schema_distill import DistillConfig
from configs.schema_student import StudentConfig
from tasks.ml.batching import Group, group_examples, pack
from tasks.ml.models import parameter_count, save_model
from tasks.ml.prompts import chat, encode
from tasks.ml.pruning import block_influence, most_influential, prune
from tasks.ml.rows import Row, load_rows
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.train_distill import distill_plan, mean_nll, train_distill
from tasks.ml.tuning import finish, prepare, trained_parameters
from tasks.ml.vocabulary import trim_tokenizer
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `unrefined/` (the student before it learnt anything) and `model/` (the distilled student)."""
    config = context.section(DistillConfig, "distill")
    rows = load_rows(context.inputs["label"] / "rows.jsonl")
    valid = [r for r in load_rows(context.inputs["clean"] / "rows.jsonl", "valid") if r.answer is not None]
    student, tokenizer, kept, layers = cut_student(context, rows)
    save_model(context.out / "unrefined", student, tokenizer)
    prepare(student, tokenizer, config, context.seed)
    groups, held_out = _groups(tokenizer, rows, config), _groups(tokenizer, valid, config)
    signal = TeacherSignal.load(context.inputs["score"] / "signal.safetensors")
    student_id = ids_in_student(kept, signal)
    watch = context.watch("distill", len(distill_plan(groups, config, context.seed)))
    train_distill(student, groups, held_out, signal, student_id, config, context.seed, watch)
    trained = trained_parameters(student)
    finish(student, config.tuning)
    save_model(context.out / "model", student, tokenizer)
    summary = {
        "parameters": parameter_count(student),
        "trained_parameters": trained,
        "layers": layers,
        "vocabulary": len(kept),
        "valid_nll": mean_nll(student, held_out, config, tokenizer.pad_token_id) if held_out else None,
    }
    context.run.metrics({f"distill/{k}": v for k, v in summary.items() if isinstance(v, int | float)})
    return summary


def cut_student(context: StageContext, rows: list[Row]) -> tuple[Any, Any, list[int], list[int]]:
    """The student before training, its tokeniser, the teacher's id of each of its ids, and its layers.

    Raises:
        StageError: The student would be larger than `student.max_parameters`.
    """
    config = context.section(StudentConfig, "student")
    teacher_config = context.section(TeacherConfig, "teacher")
    teacher, full = load_teacher(teacher_config.source, teacher_config.revision, context.cache / "models")
    tokenizer, kept = trim_tokenizer(full, texts_of(context, rows, full))
    influence = block_influence(teacher, calibration(full, rows, config.calibration_tokens))
    layers = most_influential(influence, config.layers)
    context.run.table(
        "layers.json", [{"layer": i, "influence": v, "kept": i in layers} for i, v in enumerate(influence)]
    )
    student = prune(teacher, layers, kept)
    size = parameter_count(student)
    if size > config.max_parameters:
        raise StageError(
            Problem(
                "student.max_parameters",
                f"a student of {size:,} parameters",
                f"at most {config.max_parameters:,}",
                "Lower `student.layers`, or raise the limit.",
            )
        )
    return student, tokenizer, kept, layers


def texts_of(context: StageContext, rows: list[Row], tokenizer: Any) -> list[str]:
    """Every text that the student must be able to read or write without changing how it is cut."""
    known = load_rows(context.inputs["clean"] / "rows.jsonl") + rows
    lexicon = (context.inputs["clean"] / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    names = [text for name in lexicon for text in (name, f" {name}", f"\n{name}")]
    frame = tokenizer.apply_chat_template(
        [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"},
        ],
        tokenize=False,
    )
    chats = [
        tokenizer.apply_chat_template(chat(row), tokenize=False, add_generation_prompt=True)
        + (row.answer or "")
        for row in known
    ]
    return [frame, *names, *chats, *(row.answer for row in known if row.answer)]


def calibration(tokenizer: Any, rows: list[Row], tokens: int) -> list[Any]:
    """Packed batches of about `tokens` tokens of training questions and answers."""
    sample = rows[: max(1, tokens // 20)]
    groups = group_examples([encode(tokenizer, row) for row in sample], [row.context for row in sample], 1024)
    batches, total = [], 0
    for group in groups:
        if total >= tokens:
            break
        batches.append(pack([group], tokenizer.pad_token_id))
        total += len(group)
    return batches


def ids_in_student(kept: list[int], signal: TeacherSignal) -> torch.Tensor:
    """The student's id of each of the teacher's, -1 where it has none; long enough for all in the signal."""
    scored = int(signal.ids.max()) if signal.ids.numel() else 0
    student_id = torch.full((max(*kept, scored) + 1,), -1)
    student_id[torch.tensor(kept)] = torch.arange(len(kept))
    return student_id


def _groups(tokenizer: Any, rows: list[Row], config: DistillConfig) -> list[Group]:
    examples = [encode(tokenizer, row) for row in rows]
    return group_examples(examples, [row.context for row in rows], config.row_tokens)
