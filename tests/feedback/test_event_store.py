"""The store of events: appended once, in order, by many at a time; gone only when withdrawn."""

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.store import database as database_module
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database, FeedbackStoreError
from tasks.feedback.store.event_store import Added, EventStore

MakeEvent = Callable[..., FeedbackEvent]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def other(database: Database, database_url: str) -> Iterator[Database]:
    """The same store, opened once more."""
    opened = Database(database_url)
    yield opened
    opened.close()


def ids(store: EventStore, **which: Any) -> list[str]:
    return [event.id for event in store.events(**which)]


def test_every_kind_of_judgement_comes_back_as_it_went_in(store: EventStore, an_event: MakeEvent) -> None:
    judgements: list[dict[str, Any]] = [
        {"kind": "ranking", "ranks": (1, None)},
        {"kind": "choice", "chosen": None},
        {"kind": "ratings", "ratings": (1, 4.5)},
        {"kind": "thumbs", "up": (True, False)},
        {"kind": "correction", "corrected": 1, "text": "caf\u00e9 \u2028 \U0001f9c8 '; -- %s \\"},
        {"kind": "skip", "reason": "taken back"},
    ]
    events = [an_event(str(place), judgement=judgement) for place, judgement in enumerate(judgements)]
    odd = [{"text": f"\0 \ufffd {name}\0", "model": "m", "stopped": False} for name in "AB"]
    events.append(an_event("h", answers=odd))
    events.append(an_event("i", source="import", simulated=True, created_at=None, comparison="c" * 64))
    events.append(an_event("j" * 128, replaces="i", task="lookup", comment="line\nline", row="z" * 5000))
    assert store.add(events) == Added(tuple(event.id for event in events), 0, 0)
    assert list(store.events()) == events


def test_what_is_known_is_not_appended_again(store: EventStore, an_event: MakeEvent) -> None:
    first, second = an_event("1"), an_event("2")
    assert store.add([first]) == Added(("1",), 0, 0)
    assert store.add([first, second, second]) == Added(("2",), 2, 0)
    assert store.add([]) == Added((), 0, 0)
    assert list(store.events()) == [first, second]


def test_a_known_id_with_other_contents_stops_all(store: EventStore, an_event: MakeEvent) -> None:
    store.add([an_event("1"), an_event("2")])
    changed = [an_event("3"), an_event("1", comment="x"), an_event("4"), an_event("4", annotator="bert")]
    with pytest.raises(FeedbackStoreError) as caught:
        store.add(changed)
    assert sorted(problem.what for problem in caught.value.problems) == ["event 1", "event 4"]
    assert ids(store) == ["1", "2"]


def test_parts_are_read_by_sequence_and_by_annotator(store: EventStore, an_event: MakeEvent) -> None:
    assert store.last_sequence() == 0
    store.add([an_event("1"), an_event("2", annotator="bert")])
    last = store.last_sequence()
    store.add([an_event("3")])
    assert ids(store, after=last) == ["3"]
    assert ids(store, up_to=last) == ["1", "2"]
    assert ids(store, annotator="anna") == ["1", "3"]
    assert ids(store, after=store.last_sequence()) == []


def test_thousands_at_once(store: EventStore, an_event: MakeEvent) -> None:
    events = [an_event(f"{number:04}") for number in range(1201)]
    assert len(store.add(events).new) == 1201
    assert store.add(events) == Added((), 1201, 0)
    assert ids(store) == [event.id for event in events]


def test_what_was_withdrawn_is_gone_and_does_not_come_back(
    store: EventStore, database: Database, an_event: MakeEvent
) -> None:
    token = Annotators(database).invite("anna")
    hers, his = [an_event("1"), an_event("3")], an_event("2", annotator="bert")
    store.add([hers[0], his, hers[1]])
    last = store.last_sequence()
    assert store.withdraw("anna") == ["1", "3"]
    assert list(store.events()) == [his]
    assert Annotators(database).identify(token) is None
    assert store.add([*hers, an_event("4")]) == Added(("4",), 0, 2)
    # Sequences are not given twice, or who remembers the last one would miss the next.
    assert store.last_sequence() == last + 1
    assert store.withdraw("nobody") == []
    assert store.withdraw("anna") == ["4"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET comment = 'x'",
        "UPDATE events SET annotator = 'bert' WHERE id = '1'",
        "DELETE FROM events",
        "DELETE FROM events WHERE id = '1'",
        "TRUNCATE events",
    ],
)
def test_the_database_refuses_to_change_events(
    database: Database, an_event: MakeEvent, statement: str
) -> None:
    EventStore(database).add([an_event("1")])
    with pytest.raises(DBAPIError), database.engine.begin() as connection:
        connection.execute(text(statement))
    assert list(EventStore(database).events()) == [an_event("1")]


def test_a_transaction_that_fails_leaves_nothing(database: Database, other: Database) -> None:
    insert = text("INSERT INTO withdrawals VALUES ('1', 'anna', 'now')")
    count = text("SELECT count(*) FROM withdrawals")
    twice = text("INSERT INTO withdrawals VALUES ('2', 'anna', 'now'), ('2', 'anna', 'now')")
    with pytest.raises(IntegrityError), database.writing() as session:
        [session.execute(statement) for statement in (insert, twice)]
    with other.reading() as session:
        assert session.scalar(count) == 0
    with database.writing() as session:
        session.execute(insert)
    with other.reading() as session:
        assert session.scalar(count) == 1


def test_a_reader_sees_one_state_and_keeps_nobody_waiting(
    store: EventStore, database: Database, other: Database, an_event: MakeEvent
) -> None:
    """Readers of SQLite had no transaction, and PostgreSQL's a new state for each statement.

    A snapshot read while people judged was then none.
    """
    store.add([an_event(str(number)) for number in range(3)])
    count = text("SELECT count(*) FROM events")
    with database.reading() as session:
        assert session.scalar(count) == 3
        reader = store.events()
        assert next(reader).id == "0"
        EventStore(other).add([an_event("later")])
        assert session.scalar(count) == 3
        assert [event.id for event in reader] == ["1", "2"]
    assert ids(store) == ["0", "1", "2", "later"]


def test_readers_cannot_leave_anything(database: Database, other: Database) -> None:
    try:
        with database.reading() as session:
            session.execute(text("INSERT INTO withdrawals VALUES ('1', 'anna', 'now')"))
            session.rollback()
    except DBAPIError:
        pass
    with other.writing() as session:
        assert session.scalar(text("SELECT count(*) FROM withdrawals")) == 0


def test_who_waits_too_long_for_a_turn_is_told(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "WAIT_SECONDS", 0.1)
    with closing(Database(database_url)) as impatient, database.writing():
        # Opening asks for no turn if the tables are there.
        with pytest.raises(FeedbackStoreError, match="lock"), impatient.writing():
            pass
        with closing(Database(database_url)) as reader:
            assert EventStore(reader).last_sequence() == 0
    with closing(Database(database_url)) as patient, patient.writing():
        pass


WRITERS = """
def work(number):
    database = Database(sys.argv[1])
    template = FeedbackEvent.model_validate_json(sys.argv[2])
    # Each id belongs to two writers: 0-59, 30-89, 60-119, 90-149.
    for id in range(30 * number, 30 * number + 60):
        EventStore(database).add([template.model_copy(update={"id": str(id)})])
    database.close()
children(4, work)
"""


def test_many_writers_lose_nothing_and_add_nothing_twice(
    start: Start, database_url: str, an_event: MakeEvent
) -> None:
    writers = start(WRITERS, database_url, an_event("x").model_dump_json())
    seen: list[str] = []
    with closing(Database(database_url)) as database:
        store, last = EventStore(database), 0
        while writers.poll() is None or store.last_sequence() > last:
            # A follower: what it has passed never grows.
            until = store.last_sequence()
            seen += ids(store, after=last, up_to=until)
            last = until
        assert sorted(seen, key=int) == [str(number) for number in range(150)]
        assert ids(store) == seen
    assert writers.communicate() == ("", "")
    assert writers.returncode == 0


def test_many_open_a_new_store_at_once(start: Start, database_url: str) -> None:
    openers = start("children(8, lambda _: Database(sys.argv[1]).close())", database_url)
    assert openers.communicate() == ("", "")
    assert openers.returncode == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://anna:SECRET@127.0.0.1:1/feedback?sslpassword=SECRET&application_name=SECRET",
        "postgresql://anna:SECRET@127.0.0.1:SECRET/feedback",
        "mysql://anna:SECRET@127.0.0.1/feedback?password=SECRET",
        "postgresql+psycopg2://anna:SECRET@127.0.0.1/feedback",
        "SECRET",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_a_bad_address_is_refused_and_no_password_shown(url: str) -> None:
    with pytest.raises(FeedbackStoreError) as caught:
        Database(url)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "letter"
    other.write_text("Dear sir or madam" * 100)
    with pytest.raises(FeedbackStoreError, match="not a database"):
        Database(f"sqlite:///{other}")
    with pytest.raises(FeedbackStoreError, match="Is a directory"):
        Database(f"sqlite:///{tmp_path}")
    with pytest.raises(FeedbackStoreError, match="Not a directory|exists"):
        Database(f"sqlite:///{other / 'feedback.db'}")


def test_only_its_owner_can_read_the_file(sqlite_url: str, tmp_path: Path) -> None:
    with closing(Database(sqlite_url)) as database, database.writing():
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"feedback.db": 0o600, "feedback.db-wal": 0o600, "feedback.db-shm": 0o600}


def test_an_event_is_on_the_disk_when_it_is_appended(sqlite_url: str) -> None:
    with closing(Database(sqlite_url)) as database, database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        # 2 is FULL: the log is flushed before a commit returns.
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.mark.service
def test_postgresql_by_any_of_its_names(postgresql_url: str) -> None:
    for name in ("postgresql", "postgres", "postgresql+psycopg"):
        with closing(Database(postgresql_url.replace("postgresql", name, 1))) as database:
            assert database.engine.dialect.driver == "psycopg"


@pytest.mark.service
def test_a_server_that_goes_away_is_told_from_a_bug(postgresql_url: str) -> None:
    with closing(Database(postgresql_url)) as database:
        name = postgresql_url.rpartition("/")[2]
        with psycopg.connect(postgresql_url.replace(name, "postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        with pytest.raises(FeedbackStoreError, match="does not exist"):
            EventStore(database).last_sequence()


def test_a_foreign_connection_finds_what_was_committed(
    store: EventStore, an_event: MakeEvent, database_url: str
) -> None:
    store.add([an_event("1")])
    if database_url.startswith("sqlite"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as raw:
            assert raw.execute("SELECT id FROM events").fetchall() == [("1",)]
    else:
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT id FROM events").fetchall() == [("1",)]
