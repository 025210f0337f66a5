"""The database of the feedback store: SQLite in a file, or PostgreSQL by URL."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from configs.errors import Problem, RetortError
from configs.variables import FEEDBACK_VARIABLE
from tasks.feedback.store.upgrade import UnknownRevision, is_current, upgrade

WAIT_SECONDS = 30
CONNECT_SECONDS = 10
# Any number that nothing else in the database locks.
WRITER_LOCK = 0x7265746F7274
KINDS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# One state for all that a reader reads, and no change by mistake.
READER = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class FeedbackStoreError(RetortError):
    """Raised when the feedback database cannot be reached or is not ours."""


class Database:
    """An engine whose writers take turns, so that events become visible in the order of their sequence.

    A reader who remembers the last sequence it saw therefore misses nothing.

    Attributes:
        shown: The URL without passwords and parameters.
        engine: SQLAlchemy's.
    """

    def __init__(self, url: str) -> None:
        """Connect to a database and bring its tables up to date.

        Args:
            url: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.

        Raises:
            FeedbackStoreError: It is no such URL, nothing answers there, or what is there is not ours.
        """
        parsed = parse_url(url)
        self.shown = without_secrets(parsed)
        self.engine = make_engine(parsed, self.shown)
        # Threads of one process wait here, in a queue, and not in the database, which polls.
        self._turn = threading.Lock()
        try:
            self._bring_up_to_date()
        except FeedbackStoreError:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is alone in writing; committed, and on the disk, when the block ends.

        Raises:
            FeedbackStoreError: The database went away, or its turn did not come within 30 s.
        """
        with self._turn, self._answering(), Session(self.engine) as session, session.begin():
            self._take_turn(session.connection())
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database, however long it reads, and keeps nobody waiting.

        Raises:
            FeedbackStoreError: The database went away.
        """
        with self._answering(), Session(self.engine) as session, session.begin():
            if self.engine.dialect.name == "sqlite":
                session.connection().exec_driver_sql("BEGIN")
            else:
                session.connection(execution_options=READER)
            yield session

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def _bring_up_to_date(self) -> None:
        try:
            with self.reading() as session:
                if is_current(session.connection()):
                    return
            with self.engine.begin() as connection:
                self._take_turn(connection)
                upgrade(connection)
        except UnknownRevision as error:
            problem = Problem(
                self.shown, f"tables of version {error}", "a version that this Retort knows", "Update Retort."
            )
            raise FeedbackStoreError(problem) from None
        except DBAPIError as error:
            raise self._complaint(error) from None

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, PoolTimeout) as error:
            raise self._complaint(error) from None

    def _complaint(self, error: DBAPIError | PoolTimeout) -> FeedbackStoreError:
        said = str(error.orig if isinstance(error, DBAPIError) else error).strip() or type(error).__name__
        remedy = f"Start it, or correct `{FEEDBACK_VARIABLE}`."
        return FeedbackStoreError(
            Problem(self.shown, said.splitlines()[0], "a feedback database that answers", remedy)
        )

    def _take_turn(self, connection: Connection) -> None:
        if self.engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # One journey for both; the patience holds for this transaction and from now on.
            connection.execute(
                text("SELECT set_config('lock_timeout', :patience, true), pg_advisory_xact_lock(:lock)"),
                {"patience": f"{WAIT_SECONDS}s", "lock": WRITER_LOCK},
            )


def now() -> str:
    """The time in ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def parse_url(url: str) -> URL:
    """The URL with SQLAlchemy's name of the driver.

    Raises:
        FeedbackStoreError: It is none of a feedback store.
    """
    expected, remedy = "sqlite:///FILE or postgresql://USER@HOST/NAME", "Correct it, or unset it."
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not shown: it may hold a password.
        raise FeedbackStoreError(Problem(FEEDBACK_VARIABLE, "no URL", expected, remedy)) from None
    in_memory = parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:")
    if parsed.drivername not in KINDS or in_memory:
        raise FeedbackStoreError(Problem(FEEDBACK_VARIABLE, without_secrets(parsed), expected, remedy))
    return parsed.set(drivername=KINDS[parsed.drivername])


def without_secrets(url: URL) -> str:
    """The URL as it may be shown."""
    # Parameters may hold passwords as well, such as `sslpassword`.
    return url.set(query={}).render_as_string(hide_password=True)


def make_engine(url: URL, shown: str) -> Engine:
    """An engine for the database; a file that is missing is made, for its owner's eyes only.

    Raises:
        FeedbackStoreError: The file cannot be written.
    """
    if url.get_backend_name() == "postgresql":
        # A writer must see what was committed while it waited, whatever the server's default is.
        patience = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        return create_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED", connect_args=patience)
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What people said is for its owner's eyes; SQLite gives its other files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise FeedbackStoreError(
            Problem(
                shown, str(error.strerror), "a file that can be written", f"Correct `{FEEDBACK_VARIABLE}`."
            )
        ) from None
    engine = create_engine(url, connect_args={"timeout": WAIT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver's own transactions begin late and as readers, which deadlocks two who go on to write.
    connection.isolation_level = None
    # What is withdrawn is overwritten in the file, not just forgotten.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")
