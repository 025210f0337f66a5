"""The gate's decision as a page for people: the verdict, every rule, and the answers that changed."""

import math
from collections.abc import Iterable, Mapping, Sequence

from configs.schema_promotion import PromotionConfig
from tasks.ml.examined import Examined, ExaminedAnswer
from tasks.ml.markdown import quoted, table
from tasks.ml.promotion import Decision, Power, Rule

ANSWERS_SHOWN = 5
_FIGURES = ("accuracy", "utility", "safe medical answers", "words", "stops", "failed", "general, nats a byte")

Pair = tuple[ExaminedAnswer, ExaminedAnswer]


def decision_text(decision: Decision, models: Mapping[str, Examined], config: PromotionConfig) -> str:
    """The whole page. What models wrote is escaped.

    Args:
        decision: What it says.
        models: The examined models by name, `challenger` and `champion` among them.
        config: What it asked.
    """
    verdict = "promote the challenger" if decision.promote else "keep the champion"
    lines = [f"# The gate says: {verdict}", "", quoted(decision.reason), "", "## Rules", ""]
    heads = ("rule", "difference", "interval", "asked", "found from", "passed")
    lines += table(heads, map(_rule_row, decision.rules))
    lines += ["", _interval_text(config)]
    lines += ["", _power_text(decision.power), "", "## Models", ""]
    lines += table(("", *models), _figure_rows(models))
    if not len(models["champion"].sizes):
        lines += ["", "General ability was not measured: `data.general` names no instructions."]
    worse, better = changed(models["champion"], models["challenger"])
    lines += ["", "## Answers that got better most", "", *_answers(better)]
    lines += ["", "## Answers that got worse most", "", *_answers(worse)]
    return "\n".join(lines) + "\n"


def changed(champion: Examined, challenger: Examined) -> tuple[list[Pair], list[Pair]]:
    """The answers whose utility fell and rose most, champion's first; at most `ANSWERS_SHOWN` of each."""
    pairs = list(zip(champion.answers, challenger.answers, strict=True))
    pairs.sort(key=_rise)
    falls = [pair for pair in pairs[:ANSWERS_SHOWN] if _rise(pair) < 0]
    rises = [pair for pair in reversed(pairs[-ANSWERS_SHOWN:]) if _rise(pair) > 0]
    return falls, rises


def _rise(pair: Pair) -> float:
    return pair[1].utility - pair[0].utility


def _rule_row(rule: Rule) -> tuple[str, ...]:
    found = rule.difference
    match rule.kind:
        case "gain":
            asked = "above 0"
        case "no fall":
            asked = f"not below {rule.limit:.3g}"
        case "no rise":
            asked = f"not above {rule.limit:.3g}"
        case "no clear harm":
            asked = f"no clear harm, p = {rule.p:.3f}"
    return (
        f"{rule.name}, {rule.unit}",
        f"{found.value:+.3f}",
        f"[{found.low:+.3f}, {found.high:+.3f}]",
        asked,
        f"{rule.finds:.3f}" if rule.finds and math.isfinite(rule.finds) else "",
        "yes" if rule.passed else "**no**",
    )


def _interval_text(config: PromotionConfig) -> str:
    gain, harm = 100 * config.confidence, 100 * (1 - 2 * config.harm_level)
    return (
        f"Intervals of {gain:g} %, of {harm:g} % where something must not fall or rise by more than a "
        "margin; whole contexts are flipped. p is after Holm's correction."
    )


def _power_text(power: Power) -> str:
    asked = f"{power.questions} questions in {power.contexts} contexts"
    if power.needed is None:
        return f"{asked} are too few to tell anything at this confidence."
    enough = "enough" if power.is_enough else "too few"
    return (
        f'"Found from": the true difference that is found in four of five nights. {asked} find a gain of '
        f"{power.finds:.3f}; they are {enough} for the stated gain of {power.least_gain:g}, which takes "
        f"about {power.needed}."
    )


def _figure_rows(models: Mapping[str, Examined]) -> Iterable[Sequence[str]]:
    columns = [model.figures() for model in models.values()]
    for name in _FIGURES:
        cells = [column.get(name) for column in columns]
        yield (name, *("" if cell is None else f"{cell:.3f}" for cell in cells))


def _answers(pairs: Sequence[Pair]) -> list[str]:
    lines = []
    for old, new in pairs:
        lines.append(f"- {quoted(old.task)}: {quoted(old.question)}")
        lines += [f"  - {who}: {_answer(one)}" for who, one in (("champion", old), ("challenger", new))]
    return lines or ["None."]


def _answer(one: ExaminedAnswer) -> str:
    right = "right" if one.correct else "wrong"
    return f"{quoted(one.answer) or '(empty)'} ({right}, utility {one.utility:.2f})"
