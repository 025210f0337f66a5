"""When an artifact was used is written into its record, seldom, and without harm where it cannot be."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tasks.shared.errors import StoreError
from tasks.shared.last_use import note_use, seconds_idle
from tasks.shared.local_store import LocalStore

KEY = "report/" + "a" * 64


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")


def test_the_later_of_made_and_used_counts() -> None:
    assert seconds_idle({}) is None
    assert seconds_idle({"finished_at": ago(5)}) == pytest.approx(5 * 3600, abs=20)
    assert seconds_idle({"finished_at": ago(5), "used_at": ago(2)}) == pytest.approx(2 * 3600, abs=20)
    assert seconds_idle({"finished_at": ago(-3)}) == pytest.approx(-3 * 3600, abs=20)


@pytest.mark.parametrize("record", [{"used_at": ago(2)}, {"finished_at": ago(2)}, {"used_at": ago(-2)}, {}])
def test_a_use_is_written_beside_what_is_there(tmp_path: Path, record: dict[str, str]) -> None:
    """Also after the clock was set back: else the time that lies ahead would stay."""
    store = LocalStore(tmp_path)
    store.write_record(KEY, {"run_id": "r", **record})
    note_use(store, KEY)
    written = store.read_record(KEY) or {}
    assert written["run_id"] == "r"
    assert datetime.fromisoformat(written["used_at"]) >= datetime.now(UTC) - timedelta(seconds=20)


def test_a_use_within_the_hour_is_not_written_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write_record(KEY, {"used_at": ago(0.9)})
    before = store.read_record(KEY)
    note_use(store, KEY)
    assert store.read_record(KEY) == before


def test_that_it_cannot_be_written_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError([])

    monkeypatch.setattr(LocalStore, "write_record", full)
    note_use(LocalStore(tmp_path), KEY)
