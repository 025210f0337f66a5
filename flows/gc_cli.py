"""`retort gc`: show what nobody needs any more, and delete it when told to."""

from typing import TYPE_CHECKING, Annotated

import typer

from tasks.shared.env import read_env

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.garbage.rubbish import Rubbish
    from tasks.garbage.search import Found
    from tasks.shared.mlflow_client import MLflowLine


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Delete what the table shows, for good.")] = False,
    days: Annotated[
        int, typer.Option(min=1, help="What was used or written within so many days is left alone.")
    ] = 30,
    reports: Annotated[
        int, typer.Option(min=0, help="How many of the last reports are kept, however old.")
    ] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show what no registered model, report or recent run needs; nothing is deleted without --delete.

    With it, what a run works on or used meanwhile is left. `days` should exceed your longest run.
    """
    from rich.console import Console

    from flows.last_run import all_places
    from tasks.garbage.rubbish import sweep
    from tasks.garbage.search import search

    place, line = all_places(read_env())
    found = search(place, days, reports)
    deleted: list[Rubbish] = []
    busy: list[Rubbish] = []
    if delete:
        # First: the artifact is what names the runs whose tables show the events.
        _clear_tables(line, found.rubbish)
        deleted, busy = sweep(found.rubbish)
    if as_json:
        typer.echo(_as_json(found, deleted, busy))
    else:
        _show(found, Console())
        _conclude(found.rubbish, deleted, busy, delete, Console())


def _clear_tables(line: "MLflowLine | None", rubbish: "list[Rubbish]") -> None:
    """Empty the tables of MLflow that show events which were withdrawn."""
    from tasks.garbage.artifacts import WITHDRAWN
    from tasks.shared.mlflow_withdrawal import clear_tables

    keys = {one.key for one in rubbish if one.why == WITHDRAWN}
    if line is not None and keys:
        clear_tables(line, keys)


def _show(found: "Found", console: "Console") -> None:
    from rich.table import Table

    table = Table("what", "stage", "idle, days", "size", "why", "where")
    for one in found.rubbish:
        idle = f"{one.idle / 86400:.1f}"
        table.add_row(one.kind, one.stage, idle, size(one.bytes), one.why, one.where)
    if found.rubbish:
        console.print(table, markup=False)
    kept = Table("artifacts kept", "size", "because of")
    for why, (count, total) in found.kept.items():
        kept.add_row(str(count), size(total), why)
    if found.kept:
        console.print(kept, markup=False)


def _conclude(
    rubbish: "list[Rubbish]",
    deleted: "list[Rubbish]",
    busy: "list[Rubbish]",
    delete: bool,
    console: "Console",
) -> None:
    def told(some: "list[Rubbish]") -> str:
        return f"{len(some)} things, {size(sum(one.bytes for one in some))}"

    if not rubbish:
        words = "Nothing to delete."
    elif not delete:
        words = f"{told(rubbish)} that nobody needs. `retort gc --delete` deletes them."
    else:
        words = f"Deleted: {told(deleted)}."
        words += f" Left, because a run works on it: {told(busy)}." if busy else ""
    console.print(words, highlight=False)


def _as_json(found: "Found", deleted: "list[Rubbish]", busy: "list[Rubbish]") -> str:
    import json

    def told(some: "list[Rubbish]") -> list[dict[str, object]]:
        names = ("kind", "stage", "key", "where", "bytes", "why")
        return [{name: getattr(one, name) for name in names} for one in some]

    kept = [{"why": why, "artifacts": count, "bytes": total} for why, (count, total) in found.kept.items()]
    parts = {"unneeded": told(found.rubbish), "deleted": told(deleted), "busy": told(busy), "kept": kept}
    return json.dumps(parts, indent=1)


def size(count: int) -> str:
    """Bytes for people, in powers of 1,000."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
