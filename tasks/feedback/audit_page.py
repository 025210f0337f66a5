"""The audit as one self-contained page: no scripts, nothing loaded, everything escaped.

It shows no question, no answer and no comment, so that whoever may read the audit need not be who may read
those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from tasks.feedback.agreement import PairAgreement
from tasks.feedback.audit import FeedbackAudit
from tasks.feedback.checks import CONSTANT_SHARE, FASTEST_WORDS_A_MINUTE, HASTY_SHARE, LEVEL
from tasks.ml.metrics import Interval

TEMPLATES = Path(__file__).parent / "templates"

# A table with more columns is unreadable; the pairs that agree least are listed instead.
WIDEST_MATRIX = 12
PAIRS_LISTED = 20
QUESTIONS_LISTED = 20

TITLES = {"people": "People", "ai": "AI feedback", "simulated": "Simulated annotators"}
NOTICES = {
    "people": "",
    "ai": "A model made these judgements, not people. Nothing below says anything of people.",
    "simulated": "These judgements are simulated, not made by people. Nothing below says anything of people.",
}


@dataclass(frozen=True)
class Bar:
    """An interval on a scale, in percent of the scale's width."""

    left: float
    width: float
    point: float
    middle: float


def render_audit(found: FeedbackAudit, where: str) -> str:
    """The page.

    Args:
        found: What to show.
        where: What was audited: a file, or a database without its password.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "figure": figure,
        "span": span,
        "points": points,
        "p": p_value,
    }
    return environment.get_template("feedback_audit.html").render(
        audit=found,
        where=where,
        titles=TITLES,
        notices=NOTICES,
        bar=bar,
        matrix=matrix,
        least=least_agreeing,
        widest=WIDEST_MATRIX,
        listed=QUESTIONS_LISTED,
        level=LEVEL,
        constant_share=CONSTANT_SHARE,
        words_a_minute=FASTEST_WORDS_A_MINUTE,
        hasty_share=HASTY_SHARE,
    )


def percent(share: float | None) -> str:
    """A share as a whole percentage; a dash for none."""
    return "–" if share is None else f"{100 * share:.0f}\u00a0%"


def figure(value: float | None) -> str:
    """Two decimals, with a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def span(interval: Interval | None) -> str:
    """A share with its interval, in percent; a dash for none."""
    if interval is None:
        return "–"
    return f"{percent(interval.value)} [{100 * interval.low:.0f} to {100 * interval.high:.0f}]"


def points(interval: Interval | None) -> str:
    """A difference of shares with its interval, in percentage points and with a sign; a dash for none."""
    if interval is None:
        return "–"
    value, low, high = (round(100 * v) for v in (interval.value, interval.low, interval.high))
    return f"{value:+d} [{low:+d} to {high:+d}]".replace("-", "−")


def p_value(p: float) -> str:
    """A probability as it is written."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def bar(value: float, low: float, high: float, scale: tuple[float, float]) -> Bar:
    """Where an interval lies on a scale; the middle is where chance is."""
    lowest, highest = scale

    def place(at: float) -> float:
        return round(100 * (min(max(at, lowest), highest) - lowest) / (highest - lowest), 2)

    left = place(low)
    return Bar(left, round(place(high) - left, 2), place(value), place((lowest + highest) / 2))


def matrix(names: Sequence[str], pairs: Sequence[PairAgreement]) -> list[list[PairAgreement | None]]:
    """One row and one column a name; None where two judged nothing in common."""
    known = {(pair.first, pair.second): pair for pair in pairs}
    return [[known.get((min(one, two), max(one, two))) for two in names] for one in names]


def least_agreeing(pairs: Sequence[PairAgreement]) -> list[PairAgreement]:
    """The pairs that agree least, of many."""
    return sorted(pairs, key=lambda pair: pair.same / pair.pairs)[:PAIRS_LISTED]
