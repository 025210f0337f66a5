"""What the ladder leaves for people: a table, `latest/ladder.json`, and a plot of quality against cost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tasks.ml.closing import shortened
from tasks.reporting.drawing import png_of
from tasks.reporting.plots_results import quality_and_cost
from tasks.reporting.words import Words
from tasks.shared.disk import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Lines = Sequence[Mapping[str, Any]]


def write_ladder(folder: Path, lines: Lines) -> None:
    """Write `ladder.json` and `ladder.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "ladder.json", json.dumps(lines, indent=1).encode())
    write_file(folder / "ladder.png", png_of(ladder_chart(lines)))


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
    """Accuracy against the energy of training."""
    figure = quality_and_cost(lines, Words("en"))
    if figure is None:
        raise ValueError("no rung has a known cost")
    return figure
