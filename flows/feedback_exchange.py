"""The commands `retort feedback import` and `retort feedback export`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from configs.errors import ConfigError, Problem

if TYPE_CHECKING:
    from flows.feedback_import import Source, Tally

SHOWN_COLUMNS = 12


def import_(
    file: Annotated[
        str,
        typer.Argument(
            help="A file of rows (.jsonl, .json, .csv, .tsv, each also .gz; .parquet) "
            "or a folder of the datasets library."
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            help="auto, events, label-studio, argilla, pairs, comparisons, ratings, thumbs or rankings."
        ),
    ] = "auto",
    map: Annotated[
        list[str] | None,
        typer.Option(
            help="OURS=THEIRS: the source's name for a column, a label or "
            "a bucket, such as prompt=question or tie='Equally good'; scale=1-4 moves ratings to 1-5. "
            "Repeat it for more."
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE: leave out rows with another value.")
    ] = None,
    annotator: Annotated[str, typer.Option(help="Pseudonym of who judged where no row says it.")] = "unknown",
    pseudonyms: Annotated[
        bool,
        typer.Option(
            help="Replace the annotators' names; RETORT_HOME/pseudonym.secret can tell whose is whose."
        ),
    ] = True,
    simulated: Annotated[bool, typer.Option("--simulated", help="No person made these judgements.")] = False,
) -> None:
    """Read feedback from a file; what is known is not added again, what cannot be used is set aside."""
    from flows.feedback_cli import opened
    from flows.feedback_import import Source, import_feedback
    from flows.feedback_names import pseudonyms_of
    from tasks.feedback.exchange.reading import Names, Reading
    from tasks.feedback.store.event_store import EventStore
    from tasks.shared.announcer import Announcer
    from tasks.shared.env import read_env

    given = _pairs("--map", map or [])
    scale = _scale(given.get("scale", "1-5"))
    with opened() as database:
        store = EventStore(database)
        called = pseudonyms_of(read_env().home, store, pseudonyms)
        reading = Reading(called, Names(given), annotator, simulated, scale)
        source = Source(file, reading, format, _pairs("--only", only or []))
        tally = import_feedback(source, store)
    announcer = Announcer(read_env().home)
    announcer.recorded(tally.new)
    announcer.close()
    print_tally(source, tally, Console())


def export(
    file: Annotated[
        Path, typer.Argument(help="The file, gzipped if it ends in .gz; of datasets, the folder.")
    ],
    format: Annotated[
        str, typer.Option(help="events, csv, label-studio, argilla, pairs or datasets.")
    ] = "events",
) -> None:
    """Write all feedback to a file; what its format cannot hold is counted by its reason."""
    from flows.feedback_cli import opened
    from flows.feedback_export import export_feedback
    from tasks.feedback.store.event_store import EventStore

    with opened() as database:
        done = export_feedback(list(EventStore(database).events()), file, format)
    table = Table("events", "count")
    table.add_row("written", str(done.written))
    for reason, count in done.left_out.most_common():
        table.add_row(f"left out: {reason}", str(count))
    Console().print(table, markup=False)


def print_tally(source: "Source", tally: "Tally", console: Console) -> None:
    """Show what an import came to."""
    from flows.feedback_import import unused_columns

    table = Table(f"import of {tally.format}", "count")
    rows = {
        "rows read": tally.rows,
        "rows left out by --only": tally.left_out,
        "events": len(tally.read),
        "  new": tally.new,
        "  known": tally.known,
        "  twice in the file": tally.repeated,
        "  withdrawn by their annotator": tally.withdrawn,
        "set aside": len(tally.rejected),
        "tied pairs of answers": tally.ties,
        "skips": tally.skips,
        "annotators": tally.annotators,
    }
    for name, count in (rows | dict(tally.remarks)).items():
        table.add_row(name, str(count))
    console.print(table, markup=False)
    for reason in tally.reasons():
        console.print(f"Set aside {reason}", markup=False, highlight=False, soft_wrap=True)
    if tally.set_aside:
        console.print(f"They are in {tally.set_aside}", markup=False, highlight=False, soft_wrap=True)
    unused = unused_columns(source, tally)
    if unused:
        more = ", ..." if len(unused) > SHOWN_COLUMNS else ""
        text = f"Columns not used: {', '.join(map(repr, unused[:SHOWN_COLUMNS]))}{more}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """Split `A=B`, all of them or none."""
    split = [text.partition("=") for text in given]
    problems = [
        Problem(option, f"`{''.join(parts)}`", "NAME=VALUE, each name once", "Write it in that form.")
        for place, parts in enumerate(split)
        if not all(parts) or parts[0] in [other[0] for other in split[:place]]
    ]
    if problems:
        raise ConfigError(problems)
    return {name: value for name, _, value in split}


def _scale(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        scale = float(low), float(high)
    except ValueError:
        scale = (0.0, 0.0)
    if not scale[0] < scale[1]:
        raise ConfigError(
            Problem("--map scale", f"`{text}`", "LOW-HIGH, such as 1-4", "Write it in that form.")
        )
    return scale
