"""Make the student that is to be taught: cut out of the teacher, random in that shape, or made by others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from configs.errors import Problem, RetortError
from configs.schema_student import WIDTHS, StudentConfig
from tasks.ml.batching import PackedBatch, group_examples, pack
from tasks.ml.models import parameter_count
from tasks.ml.prompts import encode
from tasks.ml.pruning import (
    block_distances,
    block_influence,
    evenly_spaced,
    most_influential,
    prune,
    pruned_config,
    without_block,
)
from tasks.ml.rows import Row
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_source import looked_for_as
from tasks.ml.token_mapping import TokenMapping, mapping_of_kept, relate
from tasks.ml.vocabulary import trim_tokenizer
from tasks.ml.width import Widths, most_important, narrow, narrowed_config, width_importance, widths_of

CALIBRATION_ROW = 1024  # tokens of a packed row


class StudentRefused(RetortError):
    """Raised when the student asked for cannot be made, or is too large."""


@dataclass(frozen=True)
class Student:
    """A student before training.

    Attributes:
        model: A causal language model, in fp32.
        tokenizer: Its tokeniser.
        layers: Indices of the teacher's layers that it is made of; none if it is not pruned.
        layer_table: What was measured of each of the teacher's layers, and whether it was kept.
        tokens: How the teacher's tokens and its own relate.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    layers: tuple[int, ...]
    layer_table: tuple[dict[str, Any], ...]
    tokens: TokenMapping


def make_student(
    config: StudentConfig,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    texts: Iterable[str],
    seed: int,
    cache: Path,
) -> Student:
    """The student that the section asks for, and how its tokens relate to the teacher's.

    Args:
        config: The section.
        teacher: The teacher.
        tokenizer: The teacher's tokeniser.
        rows: What the student is to learn; importance is measured on the first of them.
        texts: What a trimmed vocabulary must cut as the full one does; read only if it is trimmed.
        seed: Of a random student's weights.
        cache: Folder for converted GGUF files.

    Raises:
        StudentRefused: It cannot be made of this teacher, or is larger than `student.max_parameters`.
        TeacherNotFound: There is no model at `student.source`.
    """
    if config.kind == "pretrained":
        student = pretrained_student(config, tokenizer, rows, teacher.config.vocab_size, cache)
    else:
        check_shape(config, teacher)
        own, kept = own_vocabulary(config, teacher, tokenizer, texts)
        layers: list[int] = []
        table: list[dict[str, Any]] = []
        if config.kind == "random":
            model = random_model(config, teacher, kept, seed)
        else:
            layers, table = choose_layers(config, teacher, tokenizer, rows)
            model = narrowed(config, prune(teacher, layers, kept), own, rows)
        tokens = mapping_of_kept(kept, teacher.config.vocab_size)
        if model.config.pad_token_id is None:
            model.config.pad_token_id = own.pad_token_id
        student = Student(model, own, tuple(layers), tuple(table), tokens)
    # One stop token, the one that answers are taught to end with.
    student.model.config.eos_token_id = student.tokenizer.eos_token_id
    check_size(config, student.model)
    return student


def check_shape(config: StudentConfig, teacher: PreTrainedModel) -> None:
    """Look whether the student can be made of the teacher.

    Raises:
        StudentRefused: It has too few layers, cannot be made as narrow, or cannot be cut at all.
    """
    has = teacher.config.num_hidden_layers
    if config.layers > has:
        got, remedy = f"{config.layers} layers", "Lower it, or choose a larger teacher."
        raise StudentRefused(Problem("student.layers", got, f"at most the teacher's {has}", remedy))
    if config.kind == "pruned" and not teacher.config.tie_word_embeddings:
        remedy = "Choose another teacher, or `student.kind=random`."
        raise StudentRefused(Problem("teacher.source", "untied embeddings", "tied embeddings", remedy))
    try:
        shape_of(config, teacher, range(config.layers), range(1))
    except ValueError as error:
        stated = ", ".join(f"{name} {getattr(config, name)}" for name in _stated(config))
        problem = Problem(
            "student",
            f"{stated}, to which the teacher cannot be cut: {error}",
            "widths within the teacher's",
            "Lower them, or set them to null.",
        )
        raise StudentRefused(problem) from error


def shape_of(
    config: StudentConfig, teacher: PreTrainedModel, layers: Sequence[int], kept: Sequence[int]
) -> PreTrainedConfig:
    """The configuration of a student with these of the teacher's layers and tokens, in its widths."""
    shape = pruned_config(teacher.config, layers, kept)
    return narrowed_config(shape, _widths(config, teacher)) if _stated(config) else shape


def own_vocabulary(
    config: StudentConfig, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]
) -> tuple[PreTrainedTokenizerBase, Sequence[int]]:
    """The student's tokeniser, and the teacher's id of each of its tokens.

    Raises:
        StudentRefused: The vocabulary cannot be trimmed.
    """
    if config.vocabulary == "full":
        return tokenizer, range(teacher.config.vocab_size)
    try:
        return trim_tokenizer(tokenizer, texts)
    except ValueError as error:
        remedy = "Set it to `full`, or choose another teacher."
        raise StudentRefused(
            Problem("student.vocabulary", f"`trimmed` ({error})", "a byte-level BPE tokeniser", remedy)
        ) from error


def choose_layers(
    config: StudentConfig, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]
) -> tuple[list[int], list[dict[str, Any]]]:
    """The teacher's layers that stay, and a table of what was measured of each."""
    has = teacher.config.num_hidden_layers
    sample = calibration(tokenizer, rows, config.calibration_tokens)
    measured: list[float] = []
    if config.layer_choice == "influence":
        measured = block_influence(teacher, sample)
        layers = most_influential(measured, config.layers)
    elif config.layer_choice == "similarity" and config.layers < has:
        measured = block_distances(teacher, sample, has - config.layers)
        layers = without_block(measured, has)
    else:
        layers = evenly_spaced(has, config.layers)
    name = "influence" if config.layer_choice == "influence" else "block_distance"
    values = dict(enumerate(measured))
    table = [{"layer": i, name: values.get(i), "kept": i in layers} for i in range(has)]
    return layers, table


def narrowed(
    config: StudentConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row]
) -> PreTrainedModel:
    """The model in the student's widths, by importance on a sample; itself if none is stated."""
    if not _stated(config):
        return model
    sample = calibration(tokenizer, rows, config.calibration_tokens)
    return narrow(model, most_important(width_importance(model, sample), _widths(config, model)))


def random_model(
    config: StudentConfig, teacher: PreTrainedModel, kept: Sequence[int], seed: int
) -> PreTrainedModel:
    """Random weights in the shape that pruning would give."""
    layers = evenly_spaced(teacher.config.num_hidden_layers, config.layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = type(teacher)(shape_of(config, teacher, layers, kept))
    return model


def pretrained_student(
    config: StudentConfig,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    size: int,
    cache: Path,
) -> Student:
    """The model at `student.source`, and how its tokens relate to a teacher's with `size` of them.

    Raises:
        TeacherNotFound: There is no model there.
        StudentRefused: It is not built like Llama, has no stop token, or fewer embeddings than tokens.
    """
    source = str(config.source)
    with looked_for_as("student.source"):
        model, own = load_teacher(source, config.revision, cache)
    missing = None
    if not hasattr(getattr(model, "model", None), "layers"):
        missing = "a model without `model.layers`", "a decoder that is built like Llama"
    elif own.eos_token_id is None:
        missing = "a tokeniser without a stop token", "an `eos_token`"
    elif max(own.get_vocab().values()) >= model.config.vocab_size:
        missing = f"{len(own):,} tokens for {model.config.vocab_size:,} embeddings", "an embedding for each"
    if missing:
        got, expected = missing
        raise StudentRefused(
            Problem("student.source", f"{got} in `{source}`", expected, "Choose another model.")
        )
    model.requires_grad_(True).config.pad_token_id = own.pad_token_id
    return Student(model, own, (), (), relate(tokenizer, own, rows, size))


def check_size(config: StudentConfig, model: PreTrainedModel) -> None:
    """Raise StudentRefused if a student has more parameters than `student.max_parameters`."""
    size = parameter_count(model)
    if size > config.max_parameters:
        smaller = "Choose a smaller `student.source`" if config.source else "Lower `student.layers`"
        raise StudentRefused(
            Problem(
                "student.max_parameters",
                f"a student of {size:,} parameters",
                f"at most {config.max_parameters:,}",
                f"{smaller}, or raise the limit.",
            )
        )


def calibration(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], tokens: int) -> list[PackedBatch]:
    """Packed batches of about `tokens` tokens of training questions and answers."""
    sample = rows[: max(1, tokens // 20)]
    examples = [encode(tokenizer, row) for row in sample]
    groups = group_examples(examples, [row.context for row in sample], CALIBRATION_ROW)
    batches, total = [], 0
    for group in groups:
        if total >= tokens:
            break
        batches.append(pack([group], tokenizer.pad_token_id))
        total += len(group)
    return batches


def _stated(config: StudentConfig) -> list[str]:
    """Names of the widths that the section states."""
    return [name for name in WIDTHS if getattr(config, name) is not None]


def _widths(config: StudentConfig, model: PreTrainedModel) -> Widths:
    """The student's widths: those stated, the model's where none is."""
    return replace(widths_of(model.config), **{name: getattr(config, name) for name in _stated(config)})
