"""Answers of several models to the same questions, as comparisons for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.section import Precision
from tasks.feedback.events import Shown
from tasks.feedback.samples import write_shown
from tasks.feedback.store.comparisons import Comparison
from tasks.ml.batching import draw_whole_groups
from tasks.ml.progress import Bar
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row
from tasks.ml.seeding import random_for, stable_hash


@dataclass(frozen=True)
class Author:
    """A model that answers: its Hugging Face folder, and the digest of its artifact."""

    folder: Path
    digest: str


@dataclass(frozen=True)
class Asking:
    """What is put to people.

    Attributes:
        questions: How many at most.
        answers: To each of them, 2 to 6; the models take turns to write them.
        wanted: How many people are to judge each comparison.
        temperature: Of the answers.
        max_new_tokens: Longest answer, tokens.
        precision: Arithmetic of the models.
    """

    questions: int
    answers: int
    wanted: int
    temperature: float
    max_new_tokens: int
    precision: Precision


def make_comparisons(
    authors: Sequence[Author], rows: Sequence[Row], asking: Asking, bar: Bar
) -> list[Comparison]:
    """Sample answers to some of the questions; an answer that was written twice is shown once.

    A question to which all answers are the same makes no comparison.

    Args:
        authors: At least one.
        rows: Questions to draw from.
        asking: How many, and how.
        bar: Counts answers.
    """
    # Other models are asked other questions: what their forerunners were asked is judged by now.
    draw = random_for("asked", *(author.digest for author in authors))
    drawn = draw_whole_groups([row.context for row in rows], asking.questions, draw)
    asked = [rows[index] for index in drawn]
    written: list[dict[str, Shown]] = [{} for _ in asked]
    for number, author in enumerate(authors):
        # Question i goes to models i, i + 1, ...: all get their share, also where turns do not divide evenly.
        places = [
            place
            for place in range(len(asked))
            for turn in range(asking.answers)
            if (place + turn) % len(authors) == number
        ]
        seed = stable_hash("asked", author.digest)
        own = [asked[place] for place in places]
        answers = write_shown(author.folder, author.digest, own, asking, seed, bar)
        for place, answer in zip(places, answers, strict=True):
            written[place].setdefault(answer.text, answer)
    return [
        _comparison(row, list(answers.values()), asking.wanted)
        for row, answers in zip(asked, written, strict=True)
        if len(answers) > 1
    ]


def _comparison(row: Row, answers: Sequence[Shown], wanted: int) -> Comparison:
    return Comparison(row=row.id, task=row.task, prompt=user_text(row), answers=tuple(answers), wanted=wanted)
