"""Plots of training: what was learnt, what reward cost in divergence, how long answers became."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tasks.reporting.drawing import BLUE, GREEN, GREY, ORANGE, label_ends, new_figure, styled
from tasks.reporting.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]
Curve = Mapping[str, Points]
SMOOTHED_OVER = 25  # points of a loss that is too noisy to be read


def learning_curves(curves: Mapping[str, Curve], words: Words) -> "Figure | None":
    """Losses of distillation and of the stages after it, one panel each.

    Args:
        curves: By stage, the points of each metric.
        words: Of the page's language.
    """
    panels = [stage for stage in ("distill", "reward", "dpo", "ppo") if _shown(stage, curves.get(stage, {}))]
    if not panels:
        return None
    with styled():
        figure = new_figure(3.6 * len(panels) + 0.6, 3.1)
        for axes, stage in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            shown = _shown(stage, curves[stage])
            ends = [(_line(axes, curves[stage][name], colour), name, colour) for name, colour in shown]
            axes.set_title(words(f"stage.{stage}"))
            axes.set_xlabel(words("plot.updates" if stage == "ppo" else "plot.steps"))
            axes.margins(x=0.02)
            named = [(*end, words(f"curve.{name.replace('/', '_')}"), colour) for end, name, colour in ends]
            label_ends(axes, named)
        return figure


def _shown(stage: str, curve: Curve) -> list[tuple[str, str]]:
    names = {
        "distill": (("loss", BLUE), ("valid_nll", ORANGE)),
        "reward": (("loss", BLUE), ("accuracy", GREEN)),
        "dpo": (("loss", BLUE), ("accuracy", GREEN)),
        "ppo": (("objective/scores", BLUE), ("objective/rlhf_reward", GREEN)),
    }
    return [(name, colour) for name, colour in names[stage] if len(curve.get(name, ())) > 1]


def _line(axes: "Axes", points: Points, colour: str) -> tuple[float, float]:
    """Draw a curve, a long one faint and its running mean over it; gives its last point."""
    x, y = np.array(points, dtype=np.float64).T
    if len(x) > 4 * SMOOTHED_OVER:
        axes.plot(x, y, color=colour, alpha=0.25, linewidth=0.7)
        kernel = np.ones(SMOOTHED_OVER) / SMOOTHED_OVER
        x, y = np.convolve(x, kernel, "valid"), np.convolve(y, kernel, "valid")
    axes.plot(x, y, color=colour, linewidth=1.7, marker="o" if len(x) < 15 else None, markersize=3.5)
    return float(x[-1]), float(y[-1])


def divergence_and_reward(curve: Curve, words: Words) -> "Figure | None":
    """What each nat of divergence bought: the reward model's score, and what it stands for, gold.

    Gold that falls while the score still rises is over-optimisation (Gao et al. 2023).
    """
    proxy = _against(curve, "objective/kl", "objective/scores")
    gold = _against(curve, "objective/kl", "objective/gold")
    series = [(proxy, "curve.proxy", BLUE, "o-"), (gold, "curve.gold", ORANGE, "s-")]
    series = [one for one in series if len(one[0]) > 1]
    if not series:
        return None
    with styled():
        figure = new_figure(3.4 * len(series) + 0.4, 3.2)
        panels = np.atleast_1d(figure.subplots(1, len(series), sharex=True))
        for axes, (points, label, colour, style) in zip(panels, series, strict=True):
            axes.plot(*zip(*points, strict=True), style, color=colour, markersize=4, linewidth=1.5)
            axes.annotate(
                words("plot.start"), points[0], xytext=(4, 5), textcoords="offset points", fontsize=8
            )
            axes.set_title(words(label))
            axes.set_xlabel(words("plot.kl"))
            axes.margins(x=0.08, y=0.12)
        return figure


def _against(curve: Curve, along: str, name: str) -> list[tuple[float, float]]:
    """Values of a metric against those of another in the same step, in the order of the steps."""
    at = dict(curve.get(along, ()))
    return [(at[step], value) for step, value in curve.get(name, ()) if step in at]


def length_drift(curve: Curve, words: Words) -> "Figure | None":
    """Tokens an answer over the updates, and which share of the answers stops."""
    length, stops = curve.get("objective/length", ()), curve.get("objective/stop_rate", ())
    if len(length) < 2:
        return None
    with styled():
        figure = new_figure(6.6, 3.0)
        left, right = figure.subplots(1, 2)
        left.plot(*zip(*length, strict=True), "o-", color=BLUE, markersize=4)
        left.set_ylim(bottom=0)
        left.set_title(words("plot.length"))
        right.plot(
            [step for step, _ in stops], [100 * share for _, share in stops], "s-", color=GREY, markersize=4
        )
        right.set_ylim(0, 105)
        right.set_title(words("plot.stops"))
        for axes in (left, right):
            axes.set_xlabel(words("plot.updates"))
        return figure
