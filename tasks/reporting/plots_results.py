"""Plots of results: differences with their intervals, calibration, rewards, quality against cost."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.reporting.drawing import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    MARKS,
    OF_MODEL,
    ORANGE,
    label_ends,
    new_figure,
    styled,
)
from tasks.reporting.words import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
ROW_INCHES = 0.3


def forest(comparisons: Sequence[Row], words: Words) -> "Figure | None":
    """Each difference with its interval, over its half width, so that metrics of all units fit one scale.

    A difference lies clear of zero exactly where its interval does. Filled: a winner is named.
    """
    rows = [row for row in comparisons if row["high"] > row["low"]]
    if not rows:
        return None
    with styled():
        figure = new_figure(7.6, 1.0 + ROW_INCHES * len(rows))
        axes = figure.subplots()
        for place, row in enumerate(rows):
            half = (row["high"] - row["low"]) / 2
            value, low, high = (row[name] / half for name in ("difference", "low", "high"))
            value, low, high = (float(np.clip(x, -_FARTHEST, _FARTHEST)) for x in (value, low, high))
            colour = OF_MODEL.get(row["winner"], GREY)
            axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
            face = colour if row["winner"] else "none"
            axes.plot(value, place, "o", color=colour, markerfacecolor=face, markersize=5.5)
        axes.axvline(0, color=FAINT, linewidth=1)
        axes.set_yticks(range(len(rows)), [comparison_name(row, words) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xscale("symlog", linthresh=2)
        axes.set_xticks([-30, -10, -3, -1, 0, 1, 3, 10, 30])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_xlabel(words("plot.forest"))
        return figure


_FARTHEST = 60.0


def comparison_name(row: Row, words: Words) -> str:
    """Which metric of which model is held against which other."""
    models = f"{words.model(row['model'])} − {words.model(row['against'])}"
    return f"{words.metric(row['metric'])}{words('colon')} {models}"


def answer_calibration(calibrations: Sequence[Row], words: Words) -> "Figure | None":
    """How often each model is right where it is so sure; the size of a mark is the number of answers."""
    shown = [row for row in calibrations if row["bins"]]
    if not shown:
        return None
    with styled():
        figure = new_figure(6.4, 4.0)
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1)
        for number, row in enumerate(shown):
            bins = [one for one in row["bins"] if one["n"]]
            x = [100 * one["confidence"] for one in bins]
            y = [100 * one["accuracy"] for one in bins]
            most = max(one["n"] for one in bins)
            colour = OF_MODEL.get(row["model"], GREY)
            axes.plot(x, y, color=colour, linewidth=1.2, label=words.model(row["model"]))
            sizes = [12 + 60 * one["n"] / most for one in bins]
            axes.scatter(x, y, s=sizes, color=colour, marker=MARKS[number % len(MARKS)])
        axes.set(xlim=(-2, 102), ylim=(-3, 103))
        axes.set_xlabel(words("plot.confidence"))
        axes.set_ylabel(words("plot.right"))
        axes.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1, 1))
        return figure


def reward_calibration(evidence: Row, words: Words) -> "Figure | None":
    """How often the reward model orders held-out answers as annotators did, where it is so sure."""
    with styled():
        figure = new_figure(5.4, 3.4)
        axes = figure.subplots()
        axes.plot([50, 100], [50, 100], color=FAINT, linewidth=1)
        rounds = (("as_trained", BLUE, "o-"), ("calibrated", ORANGE, "s--"))
        for name, colour, style in rounds:
            bins = evidence[name]["bins"]
            x, y = ([100 * one[key] for one in bins] for key in ("certainty", "right"))
            axes.plot(x, y, style, color=colour, markersize=4.5, label=words(f"plot.{name}"))
        axes.set(xlim=(49, 101), ylim=(-3, 103))
        axes.set_xlabel(words("plot.certainty"))
        axes.set_ylabel(words("plot.ordered"))
        axes.legend(frameon=False, fontsize=8.5, loc="lower right")
        return figure


def reward_distribution(scores: Sequence[Row], words: Words) -> "Figure | None":
    """The reward model's scores of the answers that annotators saw: learnt from, and held out."""
    sides = [
        ("plot.learnt", BLUE, [row["score"] for row in scores if not row["held_out"]]),
        ("plot.held_out", ORANGE, [row["score"] for row in scores if row["held_out"]]),
    ]
    everything = [score for _, _, own in sides for score in own]
    if len(everything) < 2 or min(everything) == max(everything):
        return None
    edges = np.linspace(min(everything), max(everything), 25)
    with styled():
        figure = new_figure(6.0, 3.0)
        axes = figure.subplots()
        for label, colour, own in sides:
            if own:
                weights = np.full(len(own), 100 / len(own))
                axes.hist(
                    own, edges.tolist(), weights=weights, histtype="stepfilled", color=colour, alpha=0.2
                )
                axes.hist(own, edges.tolist(), weights=weights, histtype="step", color=colour, linewidth=1.6)
                axes.plot([], [], color=colour, linewidth=1.6, label=words(label))
        axes.set_xlabel(words("plot.score"))
        axes.set_ylabel(words("plot.answers_share"))
        axes.legend(frameon=False, fontsize=8.5)
        return figure


def quality_and_cost(lines: Sequence[Row], words: Words) -> "Figure | None":
    """Accuracy against the energy of training; what trains nothing stands at the left edge.

    Args:
        lines: Each with `rung`, `model` (`teacher` or `student`), `accuracy` (value, low, high) and `kwh`;
            those whose energy is not known are left out.
        words: Of the page's language.
    """
    known = [line for line in lines if line["kwh"] is not None]
    if not known:
        return None
    colours = {"teacher": ORANGE, "student": GREEN}
    paid = [1000 * line["kwh"] for line in known if line["kwh"]]
    edge = min(paid, default=1.0) / 2
    with styled():
        figure = new_figure(7.5, 4.4)
        axes = figure.subplots()
        ends = []
        for line in known:
            value, low, high = (100 * share for share in line["accuracy"])
            energy = 1000 * line["kwh"] if line["kwh"] else edge
            colour = colours[line["model"]]
            # Not as error bars, which refuse an interval without its value: such a row is shown, and flagged.
            axes.plot([energy, energy], [low, high], "_-", color=colour, markersize=7)
            axes.plot(energy, value, "o", color=colour)
            ends.append((energy, value, line["rung"], colour))
        axes.set_xscale("log")
        axes.set_xlim(edge * 0.8, max(paid, default=1.0) * 3)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.set_ylim(0, 100)
        label_ends(axes, ends)
        axes.set_xlabel(words("plot.energy"))
        axes.set_ylabel(words("plot.accuracy"))
        for name, colour in colours.items():
            axes.plot([], [], "o", color=colour, label=words(f"plot.{name}_model"))
        axes.legend(loc="upper left", frameon=False, fontsize=8.5)
        return figure
