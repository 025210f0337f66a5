"""`retort feedback audit`: what the feedback is worth, as a table and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.shared.env import feedback_url, read_env

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.feedback.audit import FeedbackAudit
    from tasks.feedback.events import FeedbackEvent

PAGE = "feedback_audit.html"
# The figures of an audit of the same events are the same each time.
SEED = 7


def audit(
    out: Annotated[
        Path | None,
        typer.Option(help="Where the page goes; default: RETORT_HOME/latest/feedback_audit.html."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="JSONL file of events to audit instead of the feedback store.")
    ] = None,
) -> None:
    """Audit the feedback: agreement, bias, contradictions, spam and coverage, on a page of its own."""
    from rich.console import Console

    from tasks.feedback.audit import audit as examine
    from tasks.feedback.audit_page import render_audit
    from tasks.shared.disk import write_file

    home = read_env().home
    listed, where = _read(events, home)
    found = examine(listed, SEED)
    page = (out or home / "latest" / PAGE).absolute()
    write_file(page, render_audit(found, where).encode())
    console = Console()
    print_audit(found, console)
    console.print(f"Page: {page}", highlight=False, soft_wrap=True, markup=False)


def _read(path: Path | None, home: Path) -> tuple[list["FeedbackEvent"], str]:
    """The events, and where they come from.

    Raises:
        DataError: There are none, or lines of the file are malformed.
    """
    from tasks.shared.errors import DataError, Problem

    if path is not None:
        from tasks.event_file import read_people

        listed, where = read_people(path), str(path)
    else:
        from tasks.feedback.store.database import Database
        from tasks.feedback.store.event_store import EventStore

        database = Database(feedback_url(home))
        try:
            listed, where = list(EventStore(database).events()), database.shown
        finally:
            database.close()
    if not listed:
        remedy = "Collect some with `retort feedback serve` or `retort feedback import`."
        raise DataError(Problem(where, "no event", "feedback to audit", remedy))
    return listed, where


def print_audit(found: "FeedbackAudit", console: "Console") -> None:
    """One column for each of people, AI and simulations, and who is flagged."""
    from rich.table import Table

    from tasks.feedback.audit_page import TITLES, figure, percent

    table = Table("", *(TITLES[part.population] for part in found.populations))
    rows: dict[str, list[str]] = {}
    for part in found.populations:
        alpha, wrong = part.alphas[0], part.contradictions
        shown = figure(alpha.value)
        if alpha.low is not None:
            shown += f" [{figure(alpha.low)} to {figure(alpha.high)}]"
        for label, cell in {
            "events": str(part.coverage.events),
            "questions": str(part.coverage.questions),
            "judged by two or more": percent(part.overlap_share),
            "annotators": str(part.coverage.annotators),
            "alpha, pairs": shown if alpha.value is not None else f"not defined: {alpha.why}",
            "ties": percent(part.coverage.tie_share),
            "F": percent(part.coverage.fail_share),
            "contradictions": str(wrong.reversed + wrong.circles),
            "disputed pairs": f"{wrong.disputed} of {wrong.shared}",
            "flagged": str(len(part.flagged)),
        }.items():
            rows.setdefault(label, []).append(cell)
    for label, cells in rows.items():
        table.add_row(label, *cells)
    console.print(table, markup=False)
    for part in found.populations:
        for annotator in part.flagged:
            words = f"{TITLES[part.population]}: {annotator.name} {'; '.join(annotator.flags)}."
            console.print(words, highlight=False, markup=False)
