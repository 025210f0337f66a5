"""The versions of the feedback store's tables: what a database has, and how it gets what it lacks."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"
# Of our own: a database may be shared with others who use Alembic, such as MLflow.
VERSION_TABLE = "feedback_version"


class UnknownRevision(Exception):
    """Raised when a database has tables that a later Retort made."""


def is_current(connection: Connection) -> bool:
    """Whether the tables are as this Retort wants them.

    Raises:
        UnknownRevision: They are of a version that this Retort does not know.
    """
    scripts = ScriptDirectory(str(MIGRATIONS))
    found = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise UnknownRevision(found)
    return found == scripts.get_current_head()


def upgrade(connection: Connection) -> None:
    """Run the migrations that a database lacks, in the connection's transaction."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes |= {"connection": connection, "version_table": VERSION_TABLE}
    command.upgrade(settings, "head")
