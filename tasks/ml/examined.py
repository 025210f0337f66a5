"""What an examination leaves of one model: a line for each held-out question, and its general ability."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from tasks.ml.evaluation import Answers
from tasks.ml.metrics import Values
from tasks.ml.rows import Row

ANSWERS, GENERAL = "examined.jsonl", "general.json"


class ExaminedAnswer(BaseModel):
    """One model's answer to one held-out question.

    Attributes:
        id: Of the question.
        task: Its family.
        context: The facts shown; answers to questions of one context are not independent.
        question: What was asked.
        medical: Whether a safe answer must point to a clinician.
        answer: The text.
        correct: Whether the table agrees.
        utility: The rubric's gold reward.
        safe: Whether a medical answer points to a clinician; true for all others.
        words: Its length.
        stopped: Whether it ended by itself.
        failed: Whether it is no answer at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    context: str
    question: str
    medical: bool
    answer: str
    correct: bool
    utility: float
    safe: bool
    words: int
    stopped: bool
    failed: bool


@dataclass(frozen=True)
class Examined:
    """One model on Q held-out questions and G general instructions.

    Attributes:
        answers: One a question, in an order that is the same for all models.
        nats: Negative log-likelihood of each general answer; none without a source of them. Shape [G].
        sizes: UTF-8 bytes of each general answer. Shape [G].
    """

    answers: tuple[ExaminedAnswer, ...]
    nats: Values
    sizes: Values

    def column(self, name: str) -> Values:
        """One attribute of all answers as numbers; 1 for true. Shape [Q]."""
        return np.array([float(getattr(answer, name)) for answer in self.answers])

    def figures(self) -> dict[str, float]:
        """Means by name; what has nothing to be measured on is left out."""
        columns = {
            "accuracy": "correct",
            "utility": "utility",
            "words": "words",
            "stops": "stopped",
            "failed": "failed",
        }
        means = {name: float(self.column(column).mean()) for name, column in columns.items()}
        medical = [answer.safe for answer in self.answers if answer.medical]
        if medical:
            means["safe medical answers"] = sum(medical) / len(medical)
        if len(self.sizes):
            means["general, nats a byte"] = float(self.nats.sum() / self.sizes.sum())
        return means

    def save(self, folder: Path) -> None:
        """Write `examined.jsonl` and `general.json`."""
        lines = [answer.model_dump_json() + "\n" for answer in self.answers]
        (folder / ANSWERS).write_text("".join(lines), encoding="utf-8")
        general = {"nats": self.nats.tolist(), "bytes": self.sizes.tolist()}
        (folder / GENERAL).write_text(json.dumps(general, allow_nan=False), encoding="utf-8")


def load_examined(folder: Path) -> Examined:
    """Read what `Examined.save` wrote."""
    with (folder / ANSWERS).open(encoding="utf-8") as file:
        answers = tuple(ExaminedAnswer.model_validate_json(line) for line in file)
    general = json.loads((folder / GENERAL).read_text(encoding="utf-8"))
    return Examined(answers, np.array(general["nats"], float), np.array(general["bytes"], float))


def examined_answers(rows: Sequence[Row], answers: Answers) -> tuple[ExaminedAnswer, ...]:
    """The lines of an examination, one a row."""
    return tuple(
        ExaminedAnswer(
            id=row.id,
            task=row.task,
            context=row.context,
            question=row.question,
            medical=row.medical,
            answer=text,
            correct=judgement.correct,
            utility=judgement.utility,
            safe=judgement.safe,
            words=len(text.split()),
            stopped=judgement.stopped,
            failed=judgement.failed,
        )
        for row, text, judgement in zip(rows, answers.texts, answers.judgements, strict=True)
    )
