"""How probable models find gold answers: of the use case, and of general instructions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.ml.answer_columns import statistic_column
from tasks.ml.columns import Column, Contexts, Sample, Statistic, counted
from tasks.ml.evaluation import Contestant, gold_likelihood
from tasks.ml.figures import Figure, figure
from tasks.ml.forgetting import answer_bytes, forgetting
from tasks.ml.metrics import Interval, QuestionBootstrap, Values
from tasks.ml.paired import number_contexts
from tasks.ml.rows import Row

GENERAL_METRIC = "general_nll_per_byte"


@dataclass(frozen=True)
class Likelihoods:
    """Likelihoods of the gold answers to the first of Q questions; 0 for the others.

    Attributes:
        nats: By model, negative log-likelihood of each. Shapes [Q].
        tokens: By model, tokens of each, the stop token included. Shapes [Q].
        sizes: UTF-8 bytes of each. Shape [Q].
    """

    nats: Mapping[str, Values]
    tokens: Mapping[str, Values]
    sizes: Values

    def columns(self, contexts: Contexts, like: str) -> Iterator[Column]:
        """Bits per byte and perplexity.

        Args:
            contexts: Shape [Q].
            like: Perplexities are compared among models that cut the answers into this model's tokens.
        """
        some = np.maximum(self.sizes, 1)
        bits = {name: own / np.log(2) / some for name, own in self.nats.items()}
        yield Column("bits_per_byte", "bits per byte", "lower", bits, self.sizes)
        perplexities = {
            name: _perplexity(own, self.tokens[name])
            for name, own in self.nats.items()
            if np.array_equal(self.tokens[name], self.tokens[like])
        }
        weights = dict.fromkeys(perplexities, self.sizes)
        yield statistic_column("perplexity", "per token", "lower", perplexities, contexts, weights)

    def perplexity_figures(self, bootstrap: QuestionBootstrap) -> Iterator[Figure]:
        """Exp of the mean nats per token of each model, and of the ends of its interval."""
        for model, own in self.nats.items():
            tokens = self.tokens[model]
            mean = counted(bootstrap, own / np.maximum(tokens, 1), tokens)
            value, low, high = (float(np.exp(end)) for end in (mean.value, mean.low, mean.high))
            yield figure("perplexity", model, Interval(value, low, high, mean.n), "per token")


def measure_likelihoods(contestants: Sequence[Contestant], rows: Sequence[Row], count: int) -> Likelihoods:
    """Likelihoods of the gold answers to the first `count` rows, by every contestant."""
    some = rows[:count]
    found = {one.name: gold_likelihood(one, some) for one in contestants}
    rest = np.zeros(len(rows) - len(some))
    return Likelihoods(
        {name: np.concatenate([nats, rest]) for name, (nats, _) in found.items()},
        {name: np.concatenate([tokens, rest]) for name, (_, tokens) in found.items()},
        np.concatenate([answer_bytes(some), rest]),
    )


def general_sample(contestants: Sequence[Contestant], general: Sequence[Row]) -> Sample:
    """How each contestant takes general instructions, in nats per UTF-8 byte of their answers.

    A prompt with worked examples is left out: it shows the use case.
    """
    sizes = answer_bytes(general)
    nats = {one.name: gold_likelihood(one, general)[0] / sizes for one in contestants if not one.shots}
    contexts = number_contexts([row.context for row in general])
    column = Column(GENERAL_METRIC, "nats per byte", "lower", nats, sizes)
    return Sample("general", tuple(row.id for row in general), contexts, (column,))


def forgetting_figures(
    sample: Sample, held_against: Mapping[str, str], models: Sequence[str], resamples: int, seed: int
) -> Iterator[Figure]:
    """The rise of what `general_sample` measured, paired by question; above 0 a model forgot.

    Args:
        sample: What was measured.
        held_against: By name of the figure, the model that others are held against.
        models: Those that learnt.
        resamples: Of the intervals.
        seed: Of the resampling.
    """
    (column,) = sample.columns
    nats = {name: own * column.weights for name, own in column.values.items()}
    for metric, before in held_against.items():
        for after in models:
            rise = forgetting(nats[before], nats[after], column.weights, resamples, seed)
            yield figure(metric, after, rise, column.unit)


def _perplexity(nats: Values, tokens: Values) -> Statistic:
    return lambda places: float(np.exp(nats[places].sum() / tokens[places].sum()))
