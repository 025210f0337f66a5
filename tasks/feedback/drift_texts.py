"""From questions and feedback to what the drift of a night is measured on."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.judgements import Ranking, Skip, Thumbs
from tasks.feedback.pairs import ties_of
from tasks.feedback.verdicts import population_of
from tasks.ml.compared_texts import Rates, Texts
from tasks.ml.prompts import user_text
from tasks.ml.rows import Row


def texts_of(events: Sequence[FeedbackEvent], rows: Iterable[Row] = ()) -> Texts:
    """Each prompt of rows and of events once, and what the events judged.

    What stands before the last line of a prompt is its context; a prompt of one line is its own.

    Args:
        events: Those that hold.
        rows: Questions that were learnt without feedback.
    """
    task_of = {user_text(row): row.task for row in rows}
    for event in events:
        task_of.setdefault(event.prompt, event.task)
    prompts = tuple(task_of)
    return Texts(prompts, tuple(task_of.values()), tuple(map(context_of, prompts)), rates_of(events))


def context_of(prompt: str) -> str:
    """What questions about the same facts have in common."""
    return prompt.rpartition("\n")[0] or prompt


def rates_of(events: Sequence[FeedbackEvent]) -> Rates | None:
    """What is counted of judgements; None without any.

    `fails`: answers marked F, of those ranked; `ties`: pairs called equal, of those that could have been;
    `thumbs_down`: answers, of those that got a thumb; `skips`: acts, of all.
    """
    if not events:
        return None
    counted = [_counts(event) for event in events]
    counts = {
        name: (
            np.array([float(one[name][0]) for one in counted]),
            np.array([float(one[name][1]) for one in counted]),
        )
        for name in counted[0]
    }
    return Rates(tuple(context_of(event.prompt) for event in events), counts)


def alike(earlier: Sequence[FeedbackEvent], new: Sequence[FeedbackEvent]) -> list[FeedbackEvent]:
    """The earlier events whose kind of judge is among the new ones': people, AI or simulated annotators.

    That people judge otherwise than a simulation did is no drift.
    """
    judges = {population_of(event) for event in new}
    return [event for event in earlier if population_of(event) in judges]


def _counts(event: FeedbackEvent) -> dict[str, tuple[int, int]]:
    judgement = event.judgement
    ranks = judgement.ranks if isinstance(judgement, Ranking) else ()
    thumbs = judgement.up if isinstance(judgement, Thumbs) else ()
    placed = [] if thumbs else [shown.text for shown, rank in event.placed if rank is not None]
    return {
        "fails": (ranks.count(None), len(ranks)),
        "ties": (len(ties_of(event)), sum(one != other for one, other in combinations(placed, 2))),
        "thumbs_down": (thumbs.count(False), len(thumbs)),
        "skips": (int(isinstance(judgement, Skip)), 1),
    }
