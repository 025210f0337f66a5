"""Stage `distill`: make the student and teach it the labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from configs.hints import did_you_mean, nearest
from configs.schema_distill import DistillConfig, Targets
from configs.schema_label import ScoreConfig
from configs.schema_student import StudentConfig
from tasks.ml.batching import Group, group_examples, plan_epochs
from tasks.ml.mixture import training_groups
from tasks.ml.models import parameter_count, save_model, trained_parameters
from tasks.ml.on_policy import OnlineTeacher, invert
from tasks.ml.precision import frozen_copy
from tasks.ml.prompts import encode
from tasks.ml.rows import Row, load_general, load_rows
from tasks.ml.student import Student, make_student
from tasks.ml.teacher import load_teacher, load_teacher_tokenizer, teacher_outline
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.token_mapping import TokenMapping
from tasks.ml.train_distill import mean_nll, train_distill
from tasks.ml.tuning import finish, prepare
from tasks.ml.vocabulary import domain_texts
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `unrefined/` (the student before it learnt anything) and `model/` (the distilled student)."""
    config = context.section(DistillConfig, "distill")
    rows = load_rows(context.inputs["label"] / "rows.jsonl")
    valid = [r for r in load_rows(context.inputs["clean"] / "rows.jsonl", "valid") if r.answer is not None]
    chosen = [index for index, row in enumerate(rows) if is_target(row, config.targets)]
    rows = learnt_rows([rows[index] for index in chosen], context.inputs["clean"], config)
    teacher, full = teacher_of(context)
    student = student_of(context, teacher, full, rows)
    model, tokenizer = student.model, student.tokenizer
    save_model(context.out / "unrefined", model, tokenizer)
    prepare(model, tokenizer, config, context.seed)
    examples = [encode(tokenizer, row) for row in rows]
    epochs = [training_groups(examples, rows, config, context.seed, epoch) for epoch in range(config.epochs)]
    held_out = _groups(tokenizer, valid, config)
    signal, student_id = what_the_teacher_thinks(context, student.tokens, chosen, len(rows))
    online = online_teacher(context, teacher, full.pad_token_id, student)
    del teacher
    watch = context.watch("distill", len(plan_epochs(epochs, config.token_budget, context.seed)))
    train_distill(model, epochs, held_out, signal, student_id, config, context.seed, watch, online)
    trained = trained_parameters(model)
    finish(model, config.tuning)
    save_model(context.out / "model", model, tokenizer)
    summary = {
        "parameters": parameter_count(model),
        "trained_parameters": trained,
        "layers": list(student.layers),
        "vocabulary": model.config.vocab_size,
        "valid_nll": mean_nll(model, held_out, config, tokenizer.pad_token_id) if held_out else None,
        "relation": student.tokens.kind,
        "relation_message": student.tokens.message,
    }
    context.run.metrics({f"distill/{k}": v for k, v in summary.items() if isinstance(v, int | float)})
    return summary


def teacher_of(context: StageContext) -> tuple[Any, Any]:
    """The teacher and its tokeniser; without weights where nothing is cut from it and it judges nothing."""
    source = context.teacher_source
    is_pretrained = context.section(StudentConfig, "student").kind == "pretrained"
    if is_pretrained and not context.section(DistillConfig, "distill").on_policy.share:
        return teacher_outline(*source), load_teacher_tokenizer(*source)
    return load_teacher(*source)


def learnt_rows(targets: list[Row], cleaned: Path, config: DistillConfig) -> list[Row]:
    """What is learnt: the targets, then the general instructions that are replayed beside them.

    Raises:
        StageError: There is no target, a weight names no family of theirs, no family is left, or there is
            nothing to replay.
    """
    mixture = config.mixture
    general = load_general(cleaned, "train") if mixture.replay_share else []
    problems = mixture_problems(mixture.weights, sorted({row.task for row in targets})) if targets else []
    if not targets:
        got, remedy = (
            f"`{config.targets}`, and no such answer",
            "Raise `label.answered_share`, or learn `all`.",
        )
        problems.append(Problem("distill.targets", got, "answers to learn", remedy))
    if mixture.replay_share and not general:
        remedy = "Name a larger `data.general`, or set `distill.mixture.replay_share=0`."
        problems.append(Problem("data.general", "no row left to train on", "general instructions", remedy))
    if problems:
        raise StageError(problems)
    return targets + general


def mixture_problems(weights: Mapping[str, float], tasks: list[str]) -> list[Problem]:
    """What is wrong with the weights of task families."""
    problems = [
        Problem(
            f"distill.mixture.weights.{name}",
            "a weight of no task family",
            f"one of {', '.join(tasks)}",
            did_you_mean(nearest(name, tasks), "Take it out."),
        )
        for name in weights
        if name not in tasks
    ]
    if all(weights.get(task) == 0 for task in tasks):
        problems.append(
            Problem("distill.mixture.weights", "0 for every family", "one above 0", "Raise one of them.")
        )
    return problems


def is_target(row: Row, targets: Targets) -> bool:
    """Whether a row's answer is to be learnt."""
    return targets in ("all", row.source)


def online_teacher(context: StageContext, teacher: Any, pad: int, student: Student) -> OnlineTeacher | None:
    """The teacher as a judge of the student's own answers, if that is asked for.

    Raises:
        StageError: The two cut text differently.
    """
    config, score = context.section(DistillConfig, "distill"), context.section(ScoreConfig, "score")
    if not config.on_policy.share:
        return None
    if student.tokens.student_id is None:
        remedy = "Set it to 0, or choose a student of the teacher's family."
        raise StageError(
            Problem("distill.on_policy.share", student.tokens.message, "the teacher's tokens", remedy)
        )
    teacher_id = invert(student.tokens.student_id, student.model.config.vocab_size)
    frozen = frozen_copy(teacher, config.precision)
    return OnlineTeacher(frozen, teacher_id, pad, score.top_k, score.temperature)


def student_of(context: StageContext, teacher: Any, full: Any, rows: list[Row]) -> Student:
    """The student before training; what it can learn from the teacher is said at once."""
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
    context: StageContext, tokens: TokenMapping, chosen: list[int], examples: int
) -> tuple[TeacherSignal, torch.Tensor]:
    """The teacher's logits and the student's ids of its tokens; none of either where cuts differ.

    Args:
        context: Of the stage.
        tokens: How the tokens relate.
        chosen: Rows of stage `label` that are learnt, in order.
        examples: With the general instructions behind them, which nobody scored.
    """
    if tokens.student_id is None:
        return TeacherSignal.none(examples), torch.empty(0, dtype=torch.long)
    signal = TeacherSignal.load(context.inputs["score"] / "signal")
    return signal.chosen([*chosen, *[None] * (examples - len(chosen))]), tokens.student_id


def _groups(tokenizer: Any, rows: list[Row], config: DistillConfig) -> list[Group]:
    examples = [encode(tokenizer, row) for row in rows]
    return group_examples(examples, [row.context for row in rows], config.row_tokens)
