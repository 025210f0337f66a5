"""Simulated annotators: they see the rubric's utility of each answer through noise and a taste of their own.

They stand in for people until people's feedback comes in. Every event they make says `simulated`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from configs.schema import FeedbackConfig
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.judgements import Ranking
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row
from tasks.ml.rubric import judge
from tasks.ml.seeding import random_for, stable_hash


@dataclass(frozen=True)
class Annotator:
    """A simulated person.

    Attributes:
        name: A pseudonym that says what it is.
        taste: Utility added for every ten words: some like long answers, some do not.
    """

    name: str
    taste: float


def hire(config: FeedbackConfig, seed: int) -> list[Annotator]:
    """The annotators of a run."""
    draw = random_for("annotators", seed)
    return [
        Annotator(f"simulated-{number + 1}", draw.gauss(0, config.bias))
        for number in range(config.annotators)
    ]


def annotate(row: Row, answers: Sequence[Shown], config: FeedbackConfig, seed: int) -> list[FeedbackEvent]:
    """Put the answers to one question before some annotators, each in an order of its own."""
    draw = random_for("annotate", seed, row.id)
    chosen = draw.sample(hire(config, seed), config.annotators_per_prompt)
    return [
        _event(row, answers, annotator, config, random_for("rank", seed, row.id, annotator.name))
        for annotator in chosen
    ]


def _event(
    row: Row, answers: Sequence[Shown], annotator: Annotator, config: FeedbackConfig, draw: random.Random
) -> FeedbackEvent:
    shown = draw.sample(list(answers), len(answers))
    utilities = [perceived(row, answer, annotator, config, draw) for answer in shown]
    return FeedbackEvent(
        id=f"{stable_hash(row.id, annotator.name, *(answer.text for answer in shown)):016x}",
        row=row.id,
        task=row.task,
        prompt=user_text(row),
        answers=tuple(shown),
        judgement=Ranking(ranks=rank(utilities, config.tie_gap, config.fail_below)),
        annotator=annotator.name,
        created_at=None,
        source="simulated",
        simulated=True,
    )


def perceived(
    row: Row, answer: Shown, annotator: Annotator, config: FeedbackConfig, draw: random.Random
) -> float:
    """The rubric's utility of an answer as an annotator sees it: with their taste, and an error."""
    utility = judge(row, answer.text, answer.stopped).utility
    return utility + annotator.taste * len(answer.text.split()) / 10 + draw.gauss(0, config.noise)


def rank(utilities: Sequence[float], tie_gap: float, fail_below: float) -> tuple[int | None, ...]:
    """Ranks from 1; an answer within `tie_gap` of the best of a rank joins it; below `fail_below` is F."""
    ranks: list[int | None] = [None] * len(utilities)
    current, best = 0, float("inf")
    for place in sorted(range(len(utilities)), key=lambda place: -utilities[place]):
        if utilities[place] < fail_below:
            break
        if current == 0 or best - utilities[place] > tie_gap:
            current, best = current + 1, utilities[place]
        ranks[place] = current
    return tuple(ranks)
