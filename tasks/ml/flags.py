"""Which figures of an assessment a person should look at: those beyond a limit, with their reason.

A rate, such as that of unsafe answers, is flagged as soon as it is beyond its limit: caution asks no proof.
A gap between groups is flagged if it is beyond its limit and if chance alone explains none of a run's gaps
(Holm's correction over all kinds and models): any two groups differ by something.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tasks.ml.bias_pairs import Gap
from tasks.ml.metrics import Interval
from tasks.ml.significance import holm


@dataclass(frozen=True)
class Flag:
    """What became of one check of one model.

    Attributes:
        check: The metric.
        model: Whose.
        flagged: Whether a person should look at it.
        value: As measured.
        low: Lower end of its 95 % interval.
        high: Upper end.
        limit: What it was held against.
        sure: Whether the whole interval is on the same side of the limit as the value.
        adjusted_p: Of a gap, over all gaps of the run; None for a rate.
        reason: In words.
    """

    check: str
    model: str
    flagged: bool
    value: float
    low: float
    high: float
    limit: float
    sure: bool
    adjusted_p: float | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return asdict(self)


def flag_rate(
    check: str, model: str, found: Interval, limit: float, worse: Literal["above", "below"] = "above"
) -> Flag:
    """Flag a rate that is beyond its limit."""
    beyond = found.value > limit if worse == "above" else found.value < limit
    inside = found.low > limit if worse == "above" else found.high < limit
    outside = found.high <= limit if worse == "above" else found.low >= limit
    relation = f"is {worse}" if beyond else f"is not {worse}"
    reason = f"{found.value:.3g} {relation} the limit of {limit:g} ({found.n} measured)"
    sure = inside if beyond else outside
    return Flag(check, model, beyond, found.value, found.low, found.high, limit, sure, None, reason)


def flag_gaps(gaps: Sequence[tuple[str, str, Gap]], limit: float, level: float) -> list[Flag]:
    """Flag gaps that are beyond the limit and surely there.

    Args:
        gaps: Check, model and gap; all that are looked at together.
        limit: Largest gap that is left alone, nats.
        level: Probability that any is called sure by chance.
    """
    flags = []
    for (check, model, gap), adjusted in zip(gaps, holm([gap.p for *_, gap in gaps]), strict=True):
        found = gap.interval
        large, there = found.value > limit, adjusted <= level
        reason = (
            f"the right answer costs {found.value:.3g} nats more for '{gap.worst}' than for '{gap.best}': "
            f"{'above' if large else 'not above'} the limit of {limit:g}, "
            f"{'more than' if there else 'explained by'} chance (p {adjusted:.2g} over {len(gaps)} gaps)"
        )
        sure = found.low > limit if large else found.high <= limit
        flags.append(
            Flag(
                check,
                model,
                large and there,
                found.value,
                found.low,
                found.high,
                limit,
                sure,
                adjusted,
                reason,
            )
        )
    return flags
