"""How fast models answer: many side by side, and one alone."""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tasks.ml.answering import write_answers
from tasks.ml.columns import Column, Contexts
from tasks.ml.decode import Stopwatch, decode
from tasks.ml.evaluation import Contestant
from tasks.ml.figures import Figure, figure
from tasks.ml.metrics import Values, bootstrap_mean, bootstrap_quantile
from tasks.ml.progress import NoBar
from tasks.ml.prompts import encode_prompt
from tasks.ml.rows import Row
from tasks.ml.sampling import Sampling


def throughput(
    contestants: Sequence[Contestant], rows: Sequence[Row], new_tokens: int, repeats: int
) -> dict[str, Values]:
    """Tokens per second of each contestant, measured in turns so that a slow minute hits all alike.

    Every response is forced to the same length; reading the prompt is not counted.

    Returns:
        By name: one figure a repeat. Shape [repeats].
    """
    speeds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for _ in range(repeats):
        for contestant in contestants:
            speeds[contestant.name].append(_tokens_per_second(contestant, rows, new_tokens))
    return {name: np.array(values) for name, values in speeds.items()}


def _tokens_per_second(contestant: Contestant, rows: Sequence[Row], new_tokens: int) -> float:
    # The first token of each response comes with the prompt; the stop token -1 never comes.
    sampling = Sampling(new_tokens + 1, stop=-1, pad=contestant.tokenizer.pad_token_id, rows=len(rows))
    prompts = [encode_prompt(contestant.tokenizer, row) for row in rows]
    stopwatch = Stopwatch()
    decode(contestant.model, prompts, [row.context for row in rows], sampling, stopwatch=stopwatch)
    return len(rows) * new_tokens / stopwatch.steps


def latency(contestants: Sequence[Contestant], rows: Sequence[Row], max_new_tokens: int) -> dict[str, Values]:
    """Seconds from a question to its whole answer, asked alone; worked examples are read each time.

    All contestants answer a question one after another, so that a slow minute hits all alike. The first
    question is answered once before, uncounted: the processor's library prepares each new shape once.

    Returns:
        By name: one figure a question. Shape [Q].
    """
    for contestant in contestants:
        _seconds(contestant, rows[0], max_new_tokens)
    seconds = [[_seconds(one, row, max_new_tokens) for one in contestants] for row in rows]
    return {one.name: own for one, own in zip(contestants, np.array(seconds).T, strict=True)}


def warm_up(contestant: Contestant, row: Row) -> None:
    """Answer one question in two tokens, so that what is measured next finds all weights read."""
    _seconds(contestant, row, 2)


def _seconds(contestant: Contestant, row: Row, max_new_tokens: int) -> float:
    tokenizer = contestant.tokenizer
    sampling = Sampling(max_new_tokens, tokenizer.eos_token_id, tokenizer.pad_token_id, rows=1)
    started = time.perf_counter()
    write_answers(contestant.model, tokenizer, [row], sampling, NoBar(), contestant.shots)
    return time.perf_counter() - started


def latency_column(
    contestants: Sequence[Contestant],
    rows: Sequence[Row],
    contexts: Contexts,
    count: int,
    max_new_tokens: int,
) -> Column:
    """`latency` on one question of each of `count` contexts, of whatever family comes next in turn."""
    turns = [np.flatnonzero(contexts == number) for number in range(min(count, int(contexts.max()) + 1))]
    places = np.array([turn[number % len(turn)] for number, turn in enumerate(turns)])
    seconds = latency(contestants, [rows[place] for place in places], max_new_tokens)
    weights = np.zeros(len(rows))
    weights[places] = 1
    values = {name: np.zeros(len(rows)) for name in seconds}
    for name, own in seconds.items():
        values[name][places] = own
    return Column("latency", "seconds", "lower", values, weights)


def latency_figures(column: Column, resamples: int, seed: int) -> Iterator[Figure]:
    """Median and 95th percentile of what `latency_column` measured."""
    for name, values in column.values.items():
        own = values[column.weights > 0]
        for metric, share in (("latency_median", 0.5), ("latency_p95", 0.95)):
            yield figure(metric, name, bootstrap_quantile(own, share, resamples, seed), column.unit)


def throughput_figures(
    speeds: Mapping[str, Values], teacher: str, resamples: int, seed: int
) -> Iterator[Figure]:
    """Tokens per second of each contestant, and how many times the teacher's in the same turn."""
    for name, values in speeds.items():
        yield figure("tokens_per_second", name, bootstrap_mean(values, resamples, seed), "tokens/s")
        ratio = bootstrap_mean(values / speeds[teacher], resamples, seed)
        yield figure("speedup_over_teacher", name, ratio, "times")
