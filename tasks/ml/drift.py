"""How far new prompts and judgements are from those that a model was trained on, beyond what chance does.

Each measure is a distance between 0 and 1. How large it is by chance is drawn from both samples together, at
the new sample's own size, so that few prompts raise no alarm; p is corrected for the number of measures
(Holm), so that on a night without drift nothing at all is called sure but with probability `drift.level`. A
shift counts if it is sure and if it is large: its excess over chance decides between go, warn and stop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from configs.schema_drift import DriftConfig, DriftLimit
from tasks.ml.compared_texts import Rates, Texts, thinned
from tasks.ml.distances import (
    WordCounts,
    energy_coefficient,
    largest_gap,
    mix_difference,
    share_difference,
    unknown_share,
    word_divergence,
)
from tasks.ml.matched_draws import Chance, Distance, Mask, Pool, Values, chances_of
from tasks.ml.seeding import stable_hash
from tasks.ml.significance import holm

Verdict = Literal["go", "warn", "stop"]
VERDICTS: tuple[Verdict, ...] = ("go", "warn", "stop")
NO_TASK = "none"
# A new word is named from so many contexts on: what one person wrote stays unsaid.
FEWEST_CONTEXTS = 3
WORDS_NAMED = 12


@dataclass(frozen=True)
class Measured:
    """One measure.

    Attributes:
        name: Of the measure.
        shift: The distance seen.
        chance: What it is by chance on average.
        p: How often it is as large by chance.
        adjusted: The same, corrected for the number of measures.
        limit: From which excess on it matters.
        says: What follows from it.
        before: What training has, where that is one figure: mean words a prompt, or a share.
        now: What the new sample has.
    """

    name: str
    shift: float
    chance: float
    p: float
    adjusted: float
    limit: DriftLimit
    says: Verdict
    before: float | None
    now: float | None

    @property
    def excess(self) -> float:
        """The distance beyond chance; 0 if there is less than by chance."""
        return max(0.0, self.shift - self.chance)


@dataclass(frozen=True)
class Drift:
    """What is said of a night's prompts and judgements.

    Attributes:
        verdict: The gravest of the measures'.
        reasons: Each measure that warns or stops, in a sentence.
        measures: All of them.
        notes: What was not compared, and why.
        questions: Prompts compared, of training and new.
        contexts: Contexts that they are of, of training and new.
        lengths: Words of each prompt, of training and new.
        tasks: Share of each task, in training and new.
        words: New words that training does not know, with the number of contexts that have them.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    measures: tuple[Measured, ...]
    notes: tuple[str, ...]
    questions: tuple[int, int]
    contexts: tuple[int, int]
    lengths: tuple[tuple[int, ...], tuple[int, ...]]
    tasks: Mapping[str, tuple[float, float]]
    words: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Candidate:
    """A measure before its test: what to compare, how, and the figure of either side."""

    name: str
    distance: Distance
    before: float | None = None
    now: float | None = None


def drift_of(reference: Texts, new: Texts, config: DriftConfig, seed: int) -> Drift:
    """Compare new prompts and judgements with those of the training set.

    A prompt that is in both counts as new only, and is compared with the other contexts.

    Args:
        reference: What the model was trained on; of prompts at least one.
        new: What came since; of prompts at least one.
        config: Limits, and how many are compared.
        seed: Of all draws.
    """
    ours, theirs = (thinned(texts, config.questions, seed) for texts in (reference, new))
    prompts, tasks, units, is_new = _laid_together(ours, theirs)
    words, pool = WordCounts(prompts), Pool(units, is_new)
    tested: list[tuple[_Candidate, Chance]] = []
    notes: list[str] = []
    seen = {**ours.vectors, **theirs.vectors}
    for name, part, found in (
        ("prompts", pool, _of_prompts(pool, words, tasks)),
        ("embedding", *_of_vectors(prompts, units, is_new, seen)),
        ("judgements", *_of_rates(ours.rates, theirs.rates)),
    ):
        reason = _incomparable(part, found)
        if reason:
            notes.append(f"{name} not compared: {reason}")
            continue
        distances, own_seed = [one.distance for one in found], stable_hash("drift", seed, name)
        tested += zip(found, chances_of(part, distances, config.draws, own_seed), strict=True)
    measures = _judged(tested, config)
    return Drift(
        verdict=max((one.says for one in measures), key=VERDICTS.index, default="go"),
        reasons=tuple(sentence(one) for one in measures if one.says != "go"),
        measures=measures,
        notes=tuple(notes),
        questions=(int((~is_new).sum()), int(is_new.sum())),
        contexts=(len(set(ours.units)), len(set(theirs.units))),
        lengths=(_whole(words.lengths[~is_new]), _whole(words.lengths[is_new])),
        tasks=_shares(tasks, is_new),
        words=_new_words(words, pool, units),
    )


def sentence(measure: Measured) -> str:
    """What a measure says, for people."""
    limit = measure.limit.stop if measure.says == "stop" else measure.limit.warn
    figures = ""
    if measure.before is not None and measure.now is not None:
        figures = f" ({measure.before:.3g} before, {measure.now:.3g} now)"
    return (
        f"{measure.name.replace('_', ' ')}{figures}: a shift of {measure.shift:.3f} where "
        f"{measure.chance:.3f} is chance, p {measure.adjusted:.3f}; "
        f"{measure.says} from {limit:g} beyond chance"
    )


def _laid_together(ours: Texts, theirs: Texts) -> tuple[list[str], list[str], list[str], Mask]:
    known = set(theirs.prompts)
    others = [place for place, prompt in enumerate(ours.prompts) if prompt not in known]
    prompts, tasks, units = (
        [own[place] for place in others] + list(more)
        for own, more in (
            (ours.prompts, theirs.prompts),
            (ours.tasks, theirs.tasks),
            (ours.units, theirs.units),
        )
    )
    is_new = np.arange(len(prompts)) >= len(others)
    return prompts, [task or NO_TASK for task in tasks], units, is_new


def _of_prompts(pool: Pool, words: WordCounts, tasks: Sequence[str]) -> list[_Candidate]:
    if not pool.rest_units:
        return []
    before, now = (float(words.lengths[own].mean()) for own in (pool.rest, pool.is_new))
    return [
        _Candidate("length", largest_gap(words.lengths), before, now),
        _Candidate("unknown_words", unknown_share(words)),
        _Candidate("vocabulary", word_divergence(words)),
        _Candidate("tasks", mix_difference(tasks)),
    ]


def _of_vectors(
    prompts: Sequence[str], units: Sequence[str], is_new: Mask, vectors: Mapping[str, Values]
) -> tuple[Pool, list[_Candidate]]:
    seen = [place for place, prompt in enumerate(prompts) if prompt in vectors]
    pool = Pool([units[place] for place in seen], is_new[seen])
    if not (pool.rest_units and pool.new_units):
        return pool, []
    table = np.array([vectors[prompts[place]] for place in seen], dtype=np.float64)
    # A few large dimensions would drown all others.
    scale = table[pool.rest].std(0)
    return pool, [_Candidate("embedding", energy_coefficient(table / np.where(scale > 0, scale, 1)))]


def _of_rates(ours: Rates | None, theirs: Rates | None) -> tuple[Pool, list[_Candidate]]:
    if ours is None or theirs is None:
        return Pool((), np.zeros(0, dtype=np.bool_)), []
    is_new = np.arange(len(ours.units) + len(theirs.units)) >= len(ours.units)
    # The same questions may be judged again, of another model: that is no judgement of the earlier night.
    units = [f"before {unit}" for unit in ours.units] + [f"now {unit}" for unit in theirs.units]
    pool = Pool(units, is_new)
    found = []
    for name in ours.counts.keys() & theirs.counts.keys():
        counted, of = (
            np.concatenate(parts) for parts in zip(ours.counts[name], theirs.counts[name], strict=True)
        )
        whole = [float(of[own].sum()) for own in (pool.rest, is_new)]
        if all(whole):
            before, now = (
                float(counted[own].sum()) / total
                for own, total in zip((pool.rest, is_new), whole, strict=True)
            )
            found.append(_Candidate(name, share_difference(counted, of), before, now))
    return pool, sorted(found, key=lambda one: one.name)


def _incomparable(pool: Pool, found: Sequence[_Candidate]) -> str:
    """Why a part cannot be compared; empty if it can."""
    if not pool.new_units:
        return "there is nothing new"
    if not pool.rest_units:
        return "there is nothing of other contexts to compare with"
    return "" if found else "the two sides have nothing in common that could be counted"


def _judged(tested: Sequence[tuple[_Candidate, Chance]], config: DriftConfig) -> tuple[Measured, ...]:
    adjusted = holm([chance.p for _, chance in tested])
    measures = []
    for (one, chance), level in zip(tested, adjusted, strict=True):
        limit = getattr(config.limits, one.name, config.limits.judgements)
        excess = chance.seen - chance.mean
        says: Verdict = "go"
        if level <= config.level and excess >= limit.warn:
            says = "stop" if excess >= limit.stop and limit.stop < 1 else "warn"
        measures.append(
            Measured(one.name, chance.seen, chance.mean, chance.p, level, limit, says, one.before, one.now)
        )
    return tuple(measures)


def _shares(tasks: Sequence[str], is_new: Mask) -> dict[str, tuple[float, float]]:
    names = np.array(tasks, dtype=object)
    sides = (names[~is_new], names[is_new])
    return {
        str(name): (
            float((sides[0] == name).mean()) if len(sides[0]) else 0.0,
            float((sides[1] == name).mean()),
        )
        for name in sorted(set(tasks))
    }


def _new_words(words: WordCounts, pool: Pool, units: Sequence[str]) -> tuple[tuple[str, int], ...]:
    unknown = words.counts[pool.rest].sum(0) == 0
    having: dict[int, set[str]] = {}
    for text in np.flatnonzero(pool.is_new):
        for word in np.flatnonzero((words.counts[text] > 0) & unknown):
            having.setdefault(int(word), set()).add(units[text])
    counted = [
        (words.words[word], len(contexts))
        for word, contexts in having.items()
        if len(contexts) >= FEWEST_CONTEXTS
    ]
    return tuple(sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:WORDS_NAMED])


def _whole(lengths: Values) -> tuple[int, ...]:
    return tuple(int(length) for length in lengths)
