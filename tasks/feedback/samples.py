"""Answers of our own models that are put before annotators."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from configs.schema import FeedbackConfig
from configs.section import Precision
from tasks.feedback.events import Shown
from tasks.ml.answering import write_answers
from tasks.ml.models import load_model, load_tokenizer
from tasks.ml.precision import frozen_copy
from tasks.ml.progress import Bar
from tasks.ml.rows import Row
from tasks.ml.sampling import Sampling


class Manner(Protocol):
    """How a model answers: temperature, longest answer in tokens, arithmetic."""

    @property
    def temperature(self) -> float: ...  # noqa: D102

    @property
    def max_new_tokens(self) -> int: ...  # noqa: D102

    @property
    def precision(self) -> Precision: ...  # noqa: D102


def write_shown(
    folder: Path, author: str, rows: Sequence[Row], manner: Manner, seed: int, bar: Bar
) -> list[Shown]:
    """Let a model answer each row once, in the form in which annotators see it.

    Args:
        folder: Its model folder.
        author: Digest of its artifact.
        rows: The questions; one may come several times.
        manner: How it answers.
        seed: Of the sampling.
        bar: Advanced by each answer.
    """
    tokenizer = load_tokenizer(folder)
    model = frozen_copy(load_model(folder), manner.precision)
    sampling = Sampling(
        manner.max_new_tokens, tokenizer.eos_token_id, tokenizer.pad_token_id, manner.temperature, seed
    )
    return [
        Shown(text=written.text, model=author, stopped=written.stopped)
        for written in write_answers(model, tokenizer, rows, sampling, bar)
    ]


def sample_answers(
    folder: Path, author: str, rows: Sequence[Row], config: FeedbackConfig, seed: int, bar: Bar
) -> list[list[Shown]]:
    """Let a model answer each question `config.samples` times; give the different answers to each.

    See `write_shown` for the arguments.
    """
    samples = [row for row in rows for _ in range(config.samples)]
    answers = write_shown(folder, author, samples, config, seed, bar)
    return [distinct(answers, place, config.samples) for place in range(len(rows))]


def distinct(answers: list[Shown], place: int, samples: int) -> list[Shown]:
    """The different answers to one question; where all are the same, twice that one, which can only tie."""
    own = answers[place * samples : (place + 1) * samples]
    unique = list({answer.text: answer for answer in own}.values())
    return unique if len(unique) > 1 else own[:2]
