"""What is compared when the drift of a night is measured: prompts, and what is counted of judgements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tasks.ml.batching import draw_whole_groups
from tasks.ml.matched_draws import Values
from tasks.ml.seeding import random_for


@dataclass(frozen=True)
class Rates:
    """What is counted of judgements.

    Attributes:
        units: What each judgement belongs to, the context of its question. N of them.
        counts: For each rate the counted and what they are counted of, such as tied pairs and pairs. Shapes
            [N].
    """

    units: tuple[str, ...]
    counts: Mapping[str, tuple[Values, Values]]


@dataclass(frozen=True)
class Texts:
    """Different prompts, and what people said of the answers to them.

    Attributes:
        prompts: As they are put to the model, each once. N of them.
        tasks: The family of each; empty if it has none.
        units: What each belongs to: its context, or itself.
        rates: Of judgements; None if there are none.
        vectors: Of some prompts, by prompt: how the student sees them. Shapes [H].
    """

    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    units: tuple[str, ...]
    rates: Rates | None = None
    vectors: Mapping[str, Values] = field(default_factory=dict)


def thinned(texts: Texts, most: int, seed: int) -> Texts:
    """At most so many prompts and judgements, whole contexts; fewer are a part of more."""

    def some(units: Sequence[str]) -> list[int]:
        return sorted(draw_whole_groups(units, most, random_for("thinned", seed)))

    picked, rates = some(texts.units), texts.rates
    if rates is not None:
        own = some(rates.units)
        counts = {name: (counted[own], of[own]) for name, (counted, of) in rates.counts.items()}
        rates = Rates(tuple(rates.units[place] for place in own), counts)
    prompts, tasks, units = (
        tuple(column[place] for place in picked) for column in (texts.prompts, texts.tasks, texts.units)
    )
    return replace(texts, prompts=prompts, tasks=tasks, units=units, rates=rates)
