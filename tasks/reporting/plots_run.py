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
    columns = max(depth.values()) + 1
    rows = max(sum(own == column for own in depth.values()) for column in range(columns))
    with styled():
        figure = new_figure(1.75 * columns + 0.2, max(2.0, 1.0 * rows + 0.9))
        axes = figure.subplots()
        axes.set_axis_off()
        at = _places(stages, depth, columns)
        for stage in stages:
            for before in _nearest(stage, stages):
                _arrow(axes, at[before], at[stage["name"]])
        for stage in stages:
            _box(axes, at[stage["name"]], stage, words)
        states = dict.fromkeys(stage["state"] for stage in stages)
        for state in states:
            axes.plot([], [], "s", color=_STATE_COLOURS[state], label=words(f"state.{state}"))
        axes.legend(frameon=False, fontsize=8.5, loc="lower left", ncols=len(states))
        axes.set_xlim(-1.0, 2.0 * (columns - 1) + 1.0)
        axes.set_ylim(-0.6 * rows - 0.7, 0.6 * rows + 0.2)
        return figure


def _places(
    stages: Sequence[Mapping[str, Any]], depth: Mapping[str, int], columns: int
) -> dict[str, tuple[float, float]]:
    at = {}
    for column in range(columns):
        own = [stage["name"] for stage in stages if depth[stage["name"]] == column]
        for row, name in enumerate(own):
            at[name] = (2.0 * column, 1.2 * ((len(own) - 1) / 2 - row))
    return at


def _nearest(stage: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a stage reads, less what it gets through another stage that it reads: arrows would cross boxes."""
    reads = {one["name"]: set(one["reads"]) for one in stages}

    def before(name: str) -> set[str]:
        return reads[name].union(*(before(one) for one in reads[name])) if name in reads else set()

    behind = set().union(*(before(name) for name in stage["reads"])) if stage["reads"] else set()
    return [name for name in stage["reads"] if name in reads and name not in behind]


def _arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    half = _BOX[0] / 2
    axes.annotate(
        "",
        (end[0] - half, end[1]),
        (start[0] + half, start[1]),
        arrowprops={"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.2, "shrinkA": 1, "shrinkB": 1},
    )


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
