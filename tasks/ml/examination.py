"""What models are examined on: held-out questions, worked examples, the perplexity of gold answers."""

from collections.abc import Sequence

import numpy as np

from tasks.ml.batching import draw_whole_groups
from tasks.ml.evaluation import Contestant, gold_likelihood
from tasks.ml.metrics import Interval, bootstrap_ratio
from tasks.ml.rows import Row
from tasks.ml.seeding import random_for


def held_out(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """At most `count` questions with a gold answer, whole contexts together; the same for the same seed."""
    known = [row for row in rows if row.answer is not None]
    draw = random_for("held out", seed)
    return [known[i] for i in draw_whole_groups([row.context for row in known], count, draw)]


def worked_examples(rows: Sequence[Row], count: int) -> tuple[Row, ...]:
    """The first question with a gold answer of each family, then further ones, up to `count`."""
    by_task: dict[str, list[Row]] = {}
    for row in rows:
        if row.answer is not None:
            by_task.setdefault(row.task, []).append(row)
    depth = max(len(own) for own in by_task.values())
    ordered = [own[place] for place in range(depth) for own in by_task.values() if place < len(own)]
    return tuple(ordered[:count])


def perplexity(contestant: Contestant, rows: Sequence[Row], resamples: int, seed: int) -> Interval:
    """Exp of the mean negative log-likelihood of the gold answers' tokens, resampled by question."""
    nats, tokens = gold_likelihood(contestant, rows)
    mean = bootstrap_ratio(nats, tokens, resamples, seed)
    value, low, high = (float(np.exp(x)) for x in (mean.value, mean.low, mean.high))
    return Interval(value, low, high, mean.n)
