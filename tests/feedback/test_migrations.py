"""The tables that the migrations make are those that the program works with."""

from collections.abc import Callable
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData, Table, text

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store import tables
from tasks.feedback.store.database import Database, FeedbackStoreError
from tasks.feedback.store.event_store import EventStore
from tasks.feedback.store.upgrade import MIGRATIONS, VERSION_TABLE


def differences(database: Database, metadata: MetaData) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        found: list[object] = compare_metadata(context, metadata)
        return found


def test_models_and_migrations_agree(database: Database) -> None:
    assert differences(database, tables.Table.metadata) == []


def test_a_difference_would_be_seen(database: Database) -> None:
    changed = MetaData()
    for table in tables.Table.metadata.tables.values():
        table.to_metadata(changed)
    changed.tables["events"].append_column(Column("mood", Integer))
    Table("moods", changed, Column("id", Integer, primary_key=True))
    assert len(differences(database, changed)) == 2


def test_there_is_one_line_of_versions() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


def test_a_store_of_a_later_version_is_left_alone(database: Database, database_url: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(FeedbackStoreError, match="tables of version 9999; expected .* Update Retort"):
        Database(database_url)


def test_opening_again_changes_nothing(
    database: Database, database_url: str, an_event: Callable[..., FeedbackEvent]
) -> None:
    EventStore(database).add([an_event("1")])
    with closing(Database(database_url)) as again:
        assert list(EventStore(again).events()) == [an_event("1")]


def test_other_users_of_alembic_in_the_same_database_are_left_alone(database_url: str) -> None:
    """MLflow keeps its version in `alembic_version`; ours went there too, and neither knew the other's."""
    with closing(Database(database_url)) as database, database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('mlflow')"))
    with closing(Database(database_url)) as database, database.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "mlflow"


def test_tables_of_somebody_elses_stop_the_migration(database_url: str) -> None:
    with closing(Database(database_url)) as database, database.engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {VERSION_TABLE}"))
    with pytest.raises(FeedbackStoreError, match="already exists"):
        Database(database_url)
