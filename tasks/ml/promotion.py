"""Whether a challenger takes the champion's place: a gain beyond doubt, and no harm.

Every condition must hold, so none needs a stricter level for their number (intersection-union test, Berger
1982): a challenger that is as good as the champion is promoted with a probability of (1 - confidence) / 2 at
most, and one that harms beyond a margin with `harm_level` at most. The families of questions are many chances
to blame a good challenger, so they are held to harm that is clear after Holm's correction.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from configs.schema_promotion import PromotionConfig
from tasks.ml.examined import Examined
from tasks.ml.metrics import Interval
from tasks.ml.paired import ContextFlips, number_contexts
from tasks.ml.power import found_in_most, questions_needed
from tasks.ml.significance import holm

Unit = Literal["utility", "share", "words", "nats a byte"]
Kind = Literal["gain", "no fall", "no rise", "no clear harm"]


@dataclass(frozen=True)
class Rule:
    """One condition of a promotion, and what came of it.

    Attributes:
        name: What is compared.
        kind: What is asked of it: that the interval lie above the limit, do not reach below it, or do not
            reach above it; or, of a family, that a fall be no clearer than chance.
        unit: Of the difference and the limit.
        difference: The challenger's mean less the other's, with its interval.
        limit: See `kind`.
        passed: Whether the condition holds.
        p: Of a family: how likely so much harm is by chance, after Holm's correction.
        finds: The smallest true difference that a gain or harm to a family is found from, in four of five
            nights; infinite with too few contexts.
    """

    name: str
    kind: Kind
    unit: Unit
    difference: Interval
    limit: float
    passed: bool
    p: float | None = None
    finds: float | None = None


@dataclass(frozen=True)
class Power:
    """What the held-out questions can show.

    Attributes:
        questions: How many there are.
        contexts: How many contexts they come in.
        least_gain: The gain that they are to find in four of five nights.
        finds: The gain that they do find, with this night's spread; infinite with too few contexts.
        needed: Questions, as many a context as now, that would find `least_gain`; None: nobody can tell.
    """

    questions: int
    contexts: int
    least_gain: float
    finds: float
    needed: int | None

    @property
    def is_enough(self) -> bool:
        """Whether the stated gain would be found."""
        return self.finds <= self.least_gain


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        promote: Whether the challenger becomes champion.
        reason: Why, in one line; a refusal names every rule that failed.
        gain: Of the metric over the champion.
        rules: Every condition.
        power: What the questions can show.
    """

    promote: bool
    reason: str
    gain: Interval
    rules: tuple[Rule, ...]
    power: Power


def decide(
    challenger: Examined, champion: Examined, unrefined: Examined, config: PromotionConfig, seed: int
) -> Decision:
    """Compare three models on the same held-out questions; the same records decide the same for ever.

    Raises:
        ValueError: They were not asked the same questions, or none.
    """
    _check_same(challenger, champion, unrefined)
    contexts = number_contexts([answer.context for answer in champion.answers])
    flips = ContextFlips(contexts, config.resamples, seed)
    gains = [
        _gain_rule(challenger, other, f"{config.metric} against the {name}", config, flips)
        for name, other in (("champion", champion), ("unrefined model", unrefined))
    ]
    rules = (
        *gains,
        *_margin_rules(challenger, champion, config, flips),
        *_general_rule(challenger, champion, config, seed),
        *_family_rules(challenger, champion, config, flips),
    )
    gain = gains[0].difference
    power = _power(gain, int(contexts.max()) + 1, config)
    failed = [rule for rule in rules if not rule.passed]
    return Decision(not failed, _reason(rules, power), gain, rules, power)


def _check_same(challenger: Examined, champion: Examined, unrefined: Examined) -> None:
    asked = [[answer.id for answer in one.answers] for one in (challenger, champion, unrefined)]
    if not asked[0] or asked[0] != asked[1] or asked[0] != asked[2]:
        raise ValueError(f"three models on the same questions, got {[len(ids) for ids in asked]} of them")
    if not np.array_equal(challenger.sizes, champion.sizes):
        raise ValueError("challenger and champion on the same general instructions, got different ones")


def _gain_rule(
    challenger: Examined, other: Examined, name: str, config: PromotionConfig, flips: ContextFlips
) -> Rule:
    values = challenger.column(_column(config.metric)) - other.column(_column(config.metric))
    found = flips.mean(values, np.ones(len(values)), config.confidence)
    finds = found_in_most(found, config.confidence, (1 - config.confidence) / 2)
    return Rule(name, "gain", _unit(config.metric), found, 0.0, found.low > 0, finds=finds)


def _margin_rules(
    challenger: Examined, champion: Examined, config: PromotionConfig, flips: ContextFlips
) -> Iterator[Rule]:
    """Accuracy, safety and stops must not fall, and length must not grow, by more than their margins."""
    everywhere = np.ones(len(champion.answers))
    medical = champion.column("medical")
    sure = 1 - 2 * config.harm_level  # whose one end errs as often as the level says
    shares = (
        ("accuracy", "correct", everywhere, config.accuracy_margin),
        ("safety of medical answers", "safe", medical, config.safety_margin),
        ("answers that stop", "stopped", everywhere, config.stop_margin),
    )
    for name, column, weights, margin in shares:
        if weights.any():
            found = flips.mean(challenger.column(column) - champion.column(column), weights, sure)
            yield Rule(name, "no fall", "share", found, -margin, found.low >= -margin)
    words = champion.column("words")
    longer = flips.mean(challenger.column("words") - words, everywhere, sure)
    # Of a champion that says nothing, no share is a length.
    most = config.length_margin * max(float(words.mean()), 1.0)
    yield Rule("length", "no rise", "words", longer, most, longer.high <= most)


def _general_rule(
    challenger: Examined, champion: Examined, config: PromotionConfig, seed: int
) -> Iterator[Rule]:
    """General answers must not become less likely by more than the margin; nothing where none are known."""
    sizes = champion.sizes
    if not len(sizes):
        return
    flips = ContextFlips(np.arange(len(sizes)), config.resamples, seed)
    found = flips.mean((challenger.nats - champion.nats) / sizes, sizes, 1 - 2 * config.harm_level)
    margin = config.general_margin
    yield Rule("general ability", "no rise", "nats a byte", found, margin, found.high <= margin)


def _family_rules(
    challenger: Examined, champion: Examined, config: PromotionConfig, flips: ContextFlips
) -> list[Rule]:
    """No family of questions may lose clearly, neither in accuracy nor in the metric.

    Utility holds safety, brevity and a proper stop, so that they are looked after by family as well.
    """
    tasks = np.array([answer.task for answer in champion.answers])
    parts = [
        (metric, task) for metric in dict.fromkeys(("accuracy", config.metric)) for task in np.unique(tasks)
    ]
    found = []
    for metric, task in parts:
        values = challenger.column(_column(metric)) - champion.column(_column(metric))
        inside = (tasks == task).astype(np.float64)
        found.append((flips.mean(values, inside, config.confidence), flips.p_below(values, inside)))
    adjusted = holm([p for _, p in found])
    rules = []
    for (metric, task), (lost, _), p in zip(parts, found, adjusted, strict=True):
        finds = found_in_most(lost, config.confidence, config.harm_level / len(parts))
        passed = p > config.harm_level
        rules.append(Rule(f"{metric} of {task}", "no clear harm", _unit(metric), lost, 0.0, passed, p, finds))
    return rules


def _column(metric: str) -> str:
    return "correct" if metric == "accuracy" else metric


def _unit(metric: str) -> Unit:
    return "share" if metric == "accuracy" else "utility"


def _power(gain: Interval, contexts: int, config: PromotionConfig) -> Power:
    finds = found_in_most(gain, config.confidence, (1 - config.confidence) / 2)
    half, least = (gain.high - gain.low) / 2, config.least_gain
    stated = Interval(least, least - half, least + half, gain.n)
    needed = questions_needed(stated, config.confidence) if math.isfinite(finds) else None
    return Power(gain.n, contexts, least, finds, needed)


def _reason(rules: tuple[Rule, ...], power: Power) -> str:
    failed = [f"{written(rule)}: {_complaint(rule)}" for rule in rules if not rule.passed]
    if not failed:
        return f"{written(rules[0])}; no harm found"
    if not rules[0].passed and not power.is_enough:
        about = f": about {power.needed} would do" if power.needed else ""
        failed.append(f"{power.questions} questions are too few to find {power.least_gain:g}{about}")
    return "; ".join(failed)


def _complaint(rule: Rule) -> str:
    match rule.kind:
        case "gain":
            return "not above 0, interval included"
        case "no fall":
            return f"it may have fallen by more than {-rule.limit:.3g}"
        case "no rise":
            return f"it may have grown by more than {rule.limit:.3g}"
        case "no clear harm":
            return f"clear harm (p = {rule.p:.4f})"


def written(rule: Rule) -> str:
    """A rule's difference with its interval: `accuracy -0.013 [-0.041, +0.016]`."""
    found = rule.difference
    return f"{rule.name} {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
