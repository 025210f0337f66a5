"""Stage `distill`: cut the student out of the teacher and teach it the labels."""

from pathlib import Path
from typing import Any

import torch

from configs.hints import did_you_mean, nearest
from configs.schema import TeacherConfig
from configs.schema_distill import DistillConfig
from configs.schema_student import StudentConfig
from tasks.ml.batching import Group, group_examples, pack
from tasks.ml.mixture import training_groups
from tasks.ml.models import parameter_count, save_model
from tasks.ml.prompts import chat, encode
from tasks.ml.pruning import block_influence, most_influential, prune
from tasks.ml.rows import Row, load_general, load_rows
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.train_distill import distill_plan, mean_nll, train_distill
from tasks.ml.vocabulary import trim_tokenizer
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `unrefined/` (the student before it learnt anything) and `model/` (the distilled student)."""
    config = context.section(DistillConfig, "distill")
    rows = load_rows(context.inputs["label"] / "rows.jsonl")
    valid = [r for r in load_rows(context.inputs["clean"] / "rows.jsonl", "valid") if r.answer is not None]
    rows += replayed_rows(context.inputs["clean"], rows, config)
    student, tokenizer, kept, layers = cut_student(context, rows)
    save_model(context.out / "unrefined", student, tokenizer)
    examples = [encode(tokenizer, row) for row in rows]
    epochs = [training_groups(examples, rows, config, context.seed, epoch) for epoch in range(config.epochs)]
    held_out = _groups(tokenizer, valid, config)
    signal = TeacherSignal.load(context.inputs["score"] / "signal.safetensors").extended(len(rows))
    student_id = ids_in_student(kept, signal)
    watch = context.watch("distill", len(distill_plan(epochs, config, context.seed)))
    train_distill(student, epochs, held_out, signal, student_id, config, context.seed, watch)
    save_model(context.out / "model", student, tokenizer)
    summary = {
        "parameters": parameter_count(student),
        "layers": layers,
        "vocabulary": len(kept),
        "valid_nll": mean_nll(student, held_out, config, tokenizer.pad_token_id) if held_out else None,
    }
    context.run.metrics({f"distill/{k}": v for k, v in summary.items() if isinstance(v, int | float)})
    return summary


def replayed_rows(cleaned: Path, rows: list[Row], config: DistillConfig) -> list[Row]:
    """The general instructions that are trained on beside the rows; none without `replay_share`.

    Raises:
        StageError: A weight names no family of the rows, no family is left, or there is nothing to replay.
    """
    mixture = config.mixture
    general = load_general(cleaned, "train") if mixture.replay_share else []
    tasks = sorted({row.task for row in rows})
    problems = [
        Problem(
            f"distill.mixture.weights.{name}",
            "a weight of no task family",
            f"one of {', '.join(tasks)}",
            did_you_mean(nearest(name, tasks), "Take it out."),
        )
        for name in mixture.weights
        if name not in tasks
    ]
    if all(mixture.weights.get(task) == 0 for task in tasks):
        problems.append(
            Problem("distill.mixture.weights", "0 for every family", "one above 0", "Raise one of them.")
        )
    if mixture.replay_share and not general:
        remedy = "Name a larger `data.general`, or set `distill.mixture.replay_share=0`."
        problems.append(Problem("data.general", "no row left to train on", "general instructions", remedy))
    if problems:
        raise StageError(problems)
    return general


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
