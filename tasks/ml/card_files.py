"""A reward model's card on disk: for programs as JSON, for people as a short page of Markdown."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from configs.errors import Problem
from tasks.ml.calibration import Calibration
from tasks.ml.card_verdict import Verdict, percent, points
from tasks.ml.markdown import table
from tasks.ml.reward_card import Evidence, RewardCard, Slice

CARD, PAGE = "card.json", "card.md"
_SAYINGS = {
    "go": "go: it beats every rule that understands nothing",
    "stop": "stop: it does not beat every rule that understands nothing",
    "too few": "stop: there are too few held-out preferences to tell",
}


def save_card(folder: Path, card: RewardCard, verdict: Verdict) -> None:
    """Write `card.json` and `card.md`; the small table stands in both."""
    saved = asdict(verdict) | {"table": card_rows(card)} | asdict(card)
    (folder / CARD).write_text(json.dumps(saved, indent=1), encoding="utf-8")
    (folder / PAGE).write_text(card_text(card, verdict), encoding="utf-8")


def load_card(folder: Path) -> tuple[Verdict, list[list[str]]]:
    """The verdict and the small table that `save_card` wrote."""
    saved = json.loads((folder / CARD).read_text(encoding="utf-8"))
    reasons = tuple(Problem(**reason) for reason in saved["reasons"])
    return Verdict(saved["decision"], reasons, saved["advice"]), saved["table"]


def headline(verdict: Verdict) -> str:
    """The verdict in a line."""
    return _SAYINGS[verdict.decision]


def card_rows(card: RewardCard) -> list[tuple[str, str, str]]:
    """The small table: who, how often right, and the model's lead over it."""
    found = card.evidence
    if found is None:
        return []
    rows = [("reward model", percent(found.accuracy), "")]
    rows += [(rule.name, percent(rule.accuracy), points(rule.lead)) for rule in found.opponents]
    if found.agreement:
        most = f"at most {100 * found.agreement.ceiling:.1f} %"
        rows.append((f"any model, as annotators agree on {100 * found.agreement.agree:.1f} %", most, ""))
    return rows


def card_text(card: RewardCard, verdict: Verdict) -> str:
    """The whole card. Names of tasks and annotators are escaped."""
    lines = [f"# The reward model's card says {headline(verdict)}", ""]
    if card.simulated:
        lines += [
            f"**Simulated feedback.** {card.simulated} of the {card.votes} held-out preferences were made by "
            "programs, not by people.",
            "",
        ]
    if verdict.reasons:
        lines += [*(f"- {reason}" for reason in verdict.reasons), "", verdict.advice, ""]
    if card.evidence is None:
        return "\n".join(lines)
    columns = (
        f"on {card.votes} preferences, {card.questions} questions",
        "right",
        "lead of the reward model",
    )
    lines += table(columns, card_rows(card))
    lines += ["", f"Intervals of {100 * card.confidence:g} %; whole questions are drawn.", ""]
    lines += [*_length_lines(card.evidence), "", "## Certainty", "", *_certainty(card.evidence)]
    heads = ("slice", "preferences", "questions", "right")
    lines += ["", "## Slices", "", *table(heads, map(_slice_row, card.evidence.slices))]
    return "\n".join(lines) + "\n"


def _length_lines(found: Evidence) -> list[str]:
    lines = [
        f"Score and length of the answers to one question correlate with {found.length_correlation:+.2f}."
    ]
    if found.length_balanced:
        lines.append(
            f"Where the longer and the shorter answer win equally often it is right in "
            f"{percent(found.length_balanced)}."
        )
    return lines


def _certainty(found: Evidence) -> Iterable[str]:
    def numbers(of: Calibration) -> tuple[str, str, str]:
        return f"{100 * of.error:.1f} %", f"{of.brier:.3f}", f"{of.log_loss:.3f}"

    heads = ("", "expected calibration error", "Brier score", "log-loss, nats")
    return table(
        heads,
        [
            ("as trained", *numbers(found.as_trained)),
            (f"over a temperature of {found.temperature:.3g}", *numbers(found.calibrated)),
            ("a coin", "", "0.250", "0.693"),
        ],
    )


def _slice_row(part: Slice) -> tuple[str, str, str, str]:
    right = f"{100 * part.right:.1f} %"
    if part.low is not None and part.high is not None:
        right += f" [{100 * part.low:.1f}, {100 * part.high:.1f}]"
    return f"{part.by}: {part.name or 'none'}", str(part.votes), str(part.questions), right
