"""How a feedback database is, looked at without changing it: to open a `Database` would update its tables."""

from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from configs.errors import Problem
from configs.variables import FEEDBACK_VARIABLE
from tasks.feedback.store.database import (
    FeedbackStoreError,
    make_engine,
    parse_url,
    without_secrets,
)
from tasks.feedback.store.tables import AnnotatorRow, EventRow
from tasks.feedback.store.upgrade import MIGRATIONS, VERSION_TABLE


@dataclass(frozen=True)
class Condition:
    """What is in a database.

    Attributes:
        shown: Its URL without secrets.
        version: The version of its tables; None if it has none.
        newest: The version that this Retort wants.
        is_known: Whether this Retort knows the version.
        events: How many events it holds; 0 unless the version is the newest.
        annotators: How many may log in; 0 unless the version is the newest.
    """

    shown: str
    version: str | None
    newest: str | None
    is_known: bool
    events: int = 0
    annotators: int = 0


def condition(url: str) -> Condition | None:
    """Look at the database of a URL; None if it is a file that is not there yet.

    Raises:
        FeedbackStoreError: It is no such URL, or nothing answers there.
    """
    parsed = parse_url(url)
    shown = without_secrets(parsed)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return None
    engine = make_engine(parsed, shown)
    try:
        with engine.connect() as connection:
            return _look(connection, shown)
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines() or [type(error).__name__]
        remedy = f"Start it, or correct `{FEEDBACK_VARIABLE}`."
        problem = Problem(shown, said[0], "a feedback database that answers", remedy)
        raise FeedbackStoreError(problem) from None
    finally:
        engine.dispose()


def _look(connection: Connection, shown: str) -> Condition:
    scripts = ScriptDirectory(str(MIGRATIONS))
    opts = {"version_table": VERSION_TABLE}
    version = MigrationContext.configure(connection, opts=opts).get_current_revision()
    newest = scripts.get_current_head()
    is_known = version is None or version in {script.revision for script in scripts.walk_revisions()}
    if version != newest:
        return Condition(shown, version, newest, is_known)
    events = connection.scalar(select(func.count()).select_from(EventRow))
    may = select(func.count()).select_from(AnnotatorRow).where(AnnotatorRow.revoked_at.is_(None))
    return Condition(shown, version, newest, is_known, events or 0, connection.scalar(may) or 0)
