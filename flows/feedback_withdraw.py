"""`retort feedback withdraw`: take an annotator's events away, and say what learnt from them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.shared.env import feedback_url, read_env

if TYPE_CHECKING:
    from rich.console import Console

    from tasks.feedback.store.event_store import EventStore
    from tasks.lineage import Lineage
    from tasks.place import Place
    from tasks.shared.mlflow_client import MLflowLine
    from tasks.shared.mlflow_withdrawal import ModelVersion


def withdraw(
    annotator: Annotated[
        str, typer.Argument(help="Whose events go: the pseudonym, or the name that was imported.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="Also delete the artifacts and MLflow tables that hold the events."),
    ] = False,
) -> None:
    """Remove an annotator's events for good, and list every model and stage that used them.

    With no run in progress. The list is kept in RETORT_HOME/withdrawals; it holds no word of the events.
    """
    from rich.console import Console

    from flows.feedback_names import known_as
    from flows.last_run import all_places
    from tasks.feedback.store.database import Database
    from tasks.feedback.store.event_store import EventStore
    from tasks.lineage import trace
    from tasks.withdrawals import held_before

    console = Console()
    place, line = all_places(read_env())
    stores = place.stores()
    database = Database(feedback_url(place.home))
    try:
        events = EventStore(database)
        annotator = known_as(annotator, place.home, events)
        held = held_before(place.home, annotator)
        found = trace(stores, annotator, held)
        if not (events.knows(annotator) or found.artifacts or held):
            raise _unknown(annotator, events)
        versions = _versions(line, found)
        _show(events.count(annotator), found, versions, console)
        if not yes:
            typer.confirm(f"Withdraw `{annotator}` for good?", abort=True)
        # First: it names what held the events, so that a command that was stopped can be given again.
        path = _write(place.home, annotator, held, found, versions, events.count(annotator))
        gone = events.withdraw(annotator)
        console.print(
            f"Withdrawn: {len(gone)} events. List: {path}", highlight=False, markup=False, soft_wrap=True
        )
        if purge:
            _purge(place, line, found, annotator, console)
        elif any(used.holds_events for used in found.artifacts):
            console.print("Their words are still in the feedback artifacts above; `--purge` deletes those.")
        console.print("The next run with `feedback.events=store` makes just the stages above anew.")
    finally:
        database.close()


def _unknown(annotator: str, events: "EventStore") -> Exception:
    from configs.hints import did_you_mean, nearest
    from tasks.shared.errors import DataError, Problem

    known = events.annotators()
    hint = did_you_mean(nearest(annotator, known), "`retort feedback audit` lists all annotators.")
    return DataError(Problem("annotator", f"`{annotator}`, whom nobody knows", "one who judged", hint))


def _versions(line: "MLflowLine | None", found: "Lineage") -> list["ModelVersion"]:
    from tasks.shared.mlflow_withdrawal import versions_made_from

    digests = {used.sha256 for used in found.artifacts}
    return versions_made_from(line, digests) if line is not None and digests else []


def _show(count: int, found: "Lineage", versions: list["ModelVersion"], console: "Console") -> None:
    from rich.table import Table

    console.print(f"{count} events in the feedback store.", highlight=False)
    table = Table("stage", "made", "holds events", "key", "where")
    for used in found.artifacts:
        holds = "cannot be read" if used.is_damaged else "yes" if used.holds_events else "learnt from them"
        table.add_row(
            used.stage, used.finished_at or "unknown", holds, used.key.partition("/")[2][:12], used.uri
        )
    console.print(table if found.artifacts else "No artifact used them.", markup=False)
    for key in found.unreadable:
        console.print(f"Cannot be read, may have used them: {key}", highlight=False, markup=False)
    for version in versions:
        aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
        words = f"Registered model: {version.name} version {version.version}{aliases}"
        console.print(words, highlight=False, markup=False)


def _write(
    home: Path,
    annotator: str,
    held: set[str],
    found: "Lineage",
    versions: list["ModelVersion"],
    events: int,
) -> Path:
    """Keep the list; it names artifacts and models, and holds nothing of what the annotator said."""
    from tasks.shared.disk import write_file
    from tasks.withdrawals import FOLDER

    when = datetime.now(UTC)
    now_held = {used.sha256 for used in found.artifacts if used.holds_events or used.is_damaged}
    content = {
        "annotator": annotator,
        "withdrawn_at": when.isoformat(timespec="milliseconds"),
        "events": events,
        "held": sorted(held | now_held),
        **found.model_dump(mode="json"),
        "model_versions": [version.model_dump(mode="json") for version in versions],
    }
    path = home / FOLDER / f"{when:%Y-%m-%dT%H%M%S.%f}Z.json"
    write_file(path, json.dumps(content, indent=1).encode())
    return path


def _purge(
    place: "Place", line: "MLflowLine | None", found: "Lineage", annotator: str, console: "Console"
) -> None:
    """Delete what holds the events, then look again.

    Raises:
        StoreError: Something holds events still, because a run wrote it meanwhile.
    """
    from tasks.lineage import purge, trace
    from tasks.shared.errors import Problem, StoreError
    from tasks.shared.mlflow_withdrawal import clear_tables

    keys = {used.key for used in found.artifacts if used.holds_events or used.is_damaged}
    tables = clear_tables(line, keys) if line is not None else 0
    deleted = purge(place.stores(), found)
    left = [used for used in trace(place.stores(), annotator).artifacts if used.holds_events]
    if left:
        remedy = "Let the run end, then give the command again."
        raise StoreError(
            [Problem(used.uri, "events of a withdrawn annotator", "none", remedy) for used in left]
        )
    console.print(f"Deleted: {len(deleted)} artifacts; emptied: {tables} tables in MLflow.", highlight=False)
