"""Plots of a run itself: its stages as they were computed, and the map of what was asked."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.reporting.drawing import FAINT, GREEN, GREY, INK, MARKS, ORANGE, SERIES, new_figure, styled
from tasks.reporting.words import Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STATE_COLOURS = {"executed": GREEN, "resumed": ORANGE, "cached": GREY}
_BOX = (1.5, 0.62)
_A_LINE = 5  # columns of stages; more would be too small to read


def pipeline(stages: Sequence[Mapping[str, Any]], words: Words) -> "Figure | None":
    """The stages as a graph, in columns by how far they are from the first.

    Args:
        stages: Each with `name`, `state`, `seconds` as text, and `reads`, names of the stages before it.
        words: Of the page's language.
    """
    if not stages:
        return None
    depth: dict[str, int] = {}
    for stage in stages:
        depth[stage["name"]] = max((depth[name] + 1 for name in stage["reads"] if name in depth), default=0)
    with styled():
        at = _places(stages, depth)
        deepest = min(y for _, y in at.values())
        figure = new_figure(1.8 * min(_A_LINE, max(depth.values()) + 1) + 0.2, 1.6 - deepest)
        axes = figure.subplots()
        axes.set_axis_off()
        for stage in stages:
            for before in _nearest(stage, stages):
                _arrow(axes, at[before], at[stage["name"]])
        for stage in stages:
            _box(axes, at[stage["name"]], stage, words)
        states = dict.fromkeys(stage["state"] for stage in stages)
        for state in states:
            axes.plot([], [], "s", color=_STATE_COLOURS[state], label=words(f"state.{state}"))
        axes.legend(frameon=False, fontsize=8.5, loc="lower left", ncols=len(states))
        axes.set_xlim(-0.9, max(x for x, _ in at.values()) + 0.9)
        axes.set_ylim(deepest - 1.0, 0.6)
        return figure


def _places(stages: Sequence[Mapping[str, Any]], depth: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Columns from left to right, folded like lines of a text; equally deep stages stand in one column."""
    at: dict[str, tuple[float, float]] = {}
    top = 0.0
    for line in range(max(depth.values()) // _A_LINE + 1):
        tallest = 1
        for column in range(_A_LINE):
            own = [stage["name"] for stage in stages if depth[stage["name"]] == line * _A_LINE + column]
            at |= {name: (2.0 * column, top - row) for row, name in enumerate(own)}
            tallest = max(tallest, len(own))
        top -= tallest + 0.35
    return at


def _nearest(stage: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a stage reads, less what it gets through another stage that it reads: arrows would cross boxes."""
    reads = {one["name"]: set(one["reads"]) for one in stages}

    def before(name: str) -> set[str]:
        return reads[name].union(*(before(one) for one in reads[name])) if name in reads else set()

    behind = set().union(*(before(name) for name in stage["reads"])) if stage["reads"] else set()
    return [name for name in stage["reads"] if name in reads and name not in behind]


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    """From the right side of a box to the left of the next; back to the next line, from below to above."""
    (width, height), folded = _BOX, end[0] <= start[0]
    leaves = (start[0], start[1] - height / 2) if folded else (start[0] + width / 2, start[1])
    enters = (end[0], end[1] + height / 2) if folded else (end[0] - width / 2, end[1])
    style = {"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.2, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", enters, leaves, arrowprops=style)


def _box(axes: "Axes", at: tuple[float, float], stage: Mapping[str, Any], words: Words) -> None:
    from matplotlib.patches import FancyBboxPatch

    (x, y), (width, height) = at, _BOX
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor="none",
            edgecolor=_STATE_COLOURS[stage["state"]],
            linewidth=1.8,
            linestyle="--" if stage["state"] == "cached" else "-",
        )
    )
    axes.text(x, y + 0.11, words(f"stage.{stage['name']}"), ha="center", va="center", fontsize=8.5, color=INK)
    axes.text(x, y - 0.15, stage["seconds"], ha="center", va="center", fontsize=8.5, color=INK)


def theme_map(found: Mapping[str, Any], words: Words) -> "Figure | None":
    """Questions as the student sees them, with the theme of each; ringed: annotators judged answers to it.

    Args:
        found: What `tasks.ml.theme_map` made: `points` with `x`, `y`, `theme` and `judged`, and `themes`.
        words: Of the page's language.
    """
    if not found or not found["points"]:
        return None
    with styled():
        figure = new_figure(7.6, 4.6)
        axes = figure.subplots()
        for number, theme in enumerate(found["themes"]):
            own = [point for point in found["points"] if point["theme"] == number]
            colour, mark = SERIES[number % len(SERIES)], MARKS[number // len(SERIES) % len(MARKS)]
            x, y = [point["x"] for point in own], [point["y"] for point in own]
            axes.scatter(x, y, s=16, color=colour, marker=mark, alpha=0.75, linewidth=0, label=theme["name"])
        judged = [point for point in found["points"] if point["judged"]]
        axes.scatter(
            [point["x"] for point in judged],
            [point["y"] for point in judged],
            s=46,
            facecolors="none",
            edgecolors=INK,
            linewidth=0.9,
            label=words("plot.judged"),
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(words("plot.first_component"))
        axes.set_ylabel(words("plot.second_component"))
        axes.legend(
            frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), title=words("plot.themes")
        )
        return figure
