"""The drift of a night on disk: for programs as JSON, for people as a short page with a picture."""

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.ml.drift import FEWEST_CONTEXTS, Drift, Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT, PAGE, PICTURE = "drift.json", "drift.md", "drift.png"
_SAYINGS = {
    "go": "go: nothing that matters has shifted",
    "warn": "warn: something has shifted",
    "stop": "stop: so much has shifted that a person should look first",
}
_MEANINGS = {
    "length": "words a prompt: largest gap between the two distributions",
    "unknown_words": "share of the words that training does not know",
    "vocabulary": "words: Jensen-Shannon divergence, bits",
    "tasks": "share of the prompts that would have to be of another task",
    "embedding": "as the student sees them: energy coefficient",
    "fails": "answers marked F",
    "ties": "pairs of answers called equal",
    "thumbs_down": "thumbs that point down",
    "skips": "judgements skipped",
}
_BARS = 24


def write_drift(out: Path, drift: Drift) -> dict[str, Any]:
    """Write `drift.json`, `drift.md` and `drift.png`; give what a stage's summary says of them.

    Args:
        out: An existing folder.
        drift: What was found.

    Returns:
        `drift`: the verdict; `reasons`; and each measure's excess over chance as `drift_<measure>`.
    """
    measures = [vars(one) | {"excess": one.excess, "limit": one.limit.model_dump()} for one in drift.measures]
    told = vars(drift) | {"measures": measures}
    (out / REPORT).write_text(json.dumps(told, indent=1), encoding="utf-8")
    (out / PAGE).write_text(page_of(drift), encoding="utf-8")
    picture_of(drift).savefig(out / PICTURE, dpi=110)
    figures = {f"drift_{one.name}": one.excess for one in drift.measures}
    return {"drift": drift.verdict, "reasons": list(drift.reasons), **figures}


def page_of(drift: Drift) -> str:
    """The page. It shows no prompt; tasks and words are escaped."""
    lines = [f"# Drift says {_SAYINGS[drift.verdict]}", ""]
    lines += [f"- {_text(reason)}" for reason in (*drift.reasons, *drift.notes)]
    lines += ["", _compared(drift), ""]
    heads = ("measure", "before", "now", "shift", "by chance", "p", "warn / stop from", "says")
    lines += [*_table(heads, map(_row, drift.measures)), ""]
    lines += [
        "By chance: the mean over samples of as many contexts with as many questions, drawn from both sides. "
        "p is corrected for the number of measures. A shift counts if it is sure and its excess over chance "
        "reaches a limit.",
        "",
        f"![Lengths and tasks]({PICTURE})",
    ]
    if drift.words:
        named = ", ".join(f"{_text(word)} ({count})" for word, count in drift.words)
        lines += ["", f"Words that training does not know, in {FEWEST_CONTEXTS} contexts or more: {named}."]
    return "\n".join(lines) + "\n"


def picture_of(drift: Drift) -> "Figure":
    """Lengths of the prompts and shares of the tasks, before and now."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 3.6), layout="constrained")
    lengths, tasks = picture.subplots(1, 2)
    longest = max(max(side, default=1) for side in drift.lengths)
    edges = np.linspace(0, longest + 1, _BARS + 1)
    for side, name in zip(drift.lengths, ("training", "new"), strict=True):
        if side:
            weights = np.full(len(side), 100 / len(side))
            lengths.hist(side, edges.tolist(), weights=weights, alpha=0.55, label=name)
    lengths.set(xlabel="words a prompt", ylabel="prompts, %")
    lengths.legend(frameon=False)
    places = np.arange(len(drift.tasks))
    for offset, number, name in ((-0.2, 0, "training"), (0.2, 1, "new")):
        shares = [100 * pair[number] for pair in drift.tasks.values()]
        tasks.barh(places + offset, shares, 0.4, alpha=0.55, label=name)
    # A name is no formula, whatever it holds.
    tasks.set_yticks(places, list(drift.tasks), parse_math=False)
    tasks.invert_yaxis()
    tasks.set(xlabel="prompts, %")
    return picture


def _compared(drift: Drift) -> str:
    (before, now), (old, new) = drift.questions, drift.contexts
    return f"Compared: {now} new questions of {new} contexts with {before} of training, of {old} contexts."


def _row(one: Measured) -> Sequence[str]:
    sides = ["" if value is None else f"{value:.3g}" for value in (one.before, one.now)]
    limits = f"{one.limit.warn:g} / {one.limit.stop:g}"
    meaning = f"{one.name.replace('_', ' ')}: {_MEANINGS[one.name]}"
    return (
        meaning,
        *sides,
        f"{one.shift:.3f}",
        f"{one.chance:.3f}",
        f"{one.adjusted:.3f}",
        limits,
        one.says,
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)]


def _text(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")
