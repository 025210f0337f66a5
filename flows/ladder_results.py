"""What the ladder leaves for people: a table, `latest/ladder.json`, and a plot of quality against cost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tasks.ml.closing import shortened
from tasks.shared.disk import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = {"teacher": "#8a5a2b", "student": "#2f6f6b"}
Lines = Sequence[Mapping[str, Any]]


def write_ladder(folder: Path, lines: Lines) -> None:
    """Write `ladder.json` and `ladder.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "ladder.json", json.dumps(lines, indent=1).encode())
    ladder_chart(lines).savefig(folder / "ladder.png", dpi=150)


def print_ladder(lines: Lines, console: Console) -> None:
    """One line a rung, in the order of the ladder."""
    title = f"{lines[0]['rows']} held-out questions, 95 % intervals"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("rung", no_wrap=True)
    table.add_column("of", no_wrap=True)
    for name in ("accuracy %", "perplexity", "trained", "s", "GB", "Wh"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*cells(line))
    console.print(table, markup=False)
    sources = {line["energy_source"] for line in lines} - {None}
    if "estimate" in " ".join(sources):
        console.print("Energy: estimated from processor time, 5 W a core.", highlight=False)


def cells(line: Mapping[str, Any]) -> list[str]:
    """A rung as it is written in the table."""
    value, low, high = (100 * share for share in line["accuracy"])
    trained = line["trained_parameters"]
    factors = (("seconds", 1), ("peak_memory_mb", 1e-3), ("kwh", 1e3))
    costs = (None if line[name] is None else factor * line[name] for name, factor in factors)
    return [
        str(line["rung"]),
        str(line["model"]),
        f"{value:.1f}\n[{low:.0f}, {high:.0f}]",
        "{}\n[{}, {}]".format(*map(number, line["perplexity"])),
        shortened(trained) if trained else "-",
        *(number(cost) if trained else "-" for cost in costs),
    ]


def number(value: float | None) -> str:
    """Three digits or so; a question mark for what is not known."""
    if value is None:
        return "?"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else shortened(value)


def ladder_chart(lines: Lines) -> "Figure":
    """Accuracy against the energy of training; what trains nothing stands at the left edge.

    Rungs whose energy is not known are left out.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = picture.subplots()
    paid = [1000 * line["kwh"] for line in lines if line["kwh"]]
    edge = min(paid, default=1.0) / 2
    for line in (line for line in lines if line["kwh"] is not None):
        value, low, high = (100 * share for share in line["accuracy"])
        energy = 1000 * line["kwh"] if line["kwh"] else edge
        colour = _COLOURS[line["model"]]
        axes.errorbar(energy, value, [[value - low], [high - value]], fmt="o", color=colour, capsize=3)
        axes.annotate(
            line["rung"], (energy, value), xytext=(6, 3), textcoords="offset points", fontsize=8, color=colour
        )
    axes.set_xscale("log")
    axes.set_xlim(edge * 0.8, max(paid, default=1.0) * 2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_ylim(0, 100)
    axes.set_xlabel("energy of training, Wh (logarithmic; prompting alone stands at the left)")
    axes.set_ylabel("accuracy on held-out questions, %")
    for name, colour in _COLOURS.items():
        axes.plot([], [], "o", color=colour, label=f"{name} model")
    axes.legend(loc="lower right", frameon=False)
    return picture
