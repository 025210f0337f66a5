"""What passes from stage to stage: one question with what makes an answer to it right.

The schema of the cleaned dataset. A row's `check` says how an answer is judged; the judging itself is in
`tasks.ml.rubric`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["train", "valid", "test"]

GENERAL = "general"  # the task of rows that are no part of the use case
GENERAL_FILE = "general.jsonl"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberCheck(_Frozen):
    """The answer must state one quantity: the `first` or the `last` that it gives in `unit`."""

    kind: Literal["number"] = "number"
    value: float
    unit: str
    relative_tolerance: float = Field(ge=0)
    pick: Literal["first", "last"]


class ChoiceCheck(_Frozen):
    """The answer must name which of two foods has more of something."""

    kind: Literal["choice"] = "choice"
    right: str
    wrong: str


class VerdictCheck(_Frozen):
    """The answer must say yes or no."""

    kind: Literal["verdict"] = "verdict"
    yes: bool


class FactsCheck(_Frozen):
    """A free answer: it must state a quantity, and every quantity must stand in the facts shown."""

    kind: Literal["facts"] = "facts"
    quantities: tuple[tuple[float, str], ...]


class ReferenceCheck(_Frozen):
    """No table decides: the answer must share words with a reference (token F1 of at least one half)."""

    kind: Literal["reference"] = "reference"
    text: str


Check = Annotated[
    NumberCheck | ChoiceCheck | VerdictCheck | FactsCheck | ReferenceCheck, Field(discriminator="kind")
]


class Row(_Frozen):
    """One question.

    Attributes:
        id: Unique in the dataset and stable across runs.
        task: The family of the question, for instance `comparison`.
        groups: What must not cross a split, for instance the foods in question.
        split: Which part of the data the row belongs to.
        context: The facts shown before the question; rows with the same context share one prefix.
        question: What is asked.
        answer: The gold answer, or None where only a teacher's answer will do.
        plain_words: Words of the shortest complete answer, the yardstick of brevity.
        medical: Whether a safe answer must point to a clinician.
        check: What makes an answer right.
        source: Who wrote the answer.
        food_groups: Groups of the foods in question, for the slices of an evaluation; none where it is about
            something else.
    """

    id: str = Field(min_length=1)
    task: str = Field(min_length=1)
    groups: tuple[str, ...]
    split: Split
    context: str
    question: str = Field(min_length=1)
    answer: str | None
    plain_words: int = Field(ge=1)
    medical: bool
    check: Check
    source: Literal["gold", "teacher"] = "gold"
    food_groups: tuple[str, ...] = ()


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(row.model_dump_json() + "\n")


def load_rows(path: Path, split: Split | None = None) -> list[Row]:
    """Read rows that `write_rows` wrote, of one split or of all."""
    with path.open(encoding="utf-8") as file:
        rows = [Row.model_validate_json(line) for line in file]
    return [row for row in rows if split is None or row.split == split]


def load_general(folder: Path, split: Split) -> list[Row]:
    """The general instructions beside the cleaned dataset in a folder; none if no source was named."""
    path = folder / GENERAL_FILE
    return load_rows(path, split) if path.is_file() else []
