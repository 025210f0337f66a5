"""`retort gc` and `retort doctor`: what they say, change, and exit with."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.shared.local_store import LocalStore

if TYPE_CHECKING:
    from tests.flows.conftest import Retort

DAY = 86400.0


@pytest.fixture
def old_and_young(retort: "Retort", tmp_path: Path) -> LocalStore:
    """A store with an artifact of 40 days ago and one of today."""
    store = LocalStore(retort.home / "store")
    for name, days in (("a", 40.0), ("b", 0.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "made.txt").write_text("x" * 2000)
        key = f"ppo/{name * 64}"
        store.commit(key, "ppo", tmp_path / name, [], {}, {})
        for path in (store.root / "artifacts" / key).iterdir():
            os.utime(path, (time.time() - days * DAY,) * 2)
    return store


def test_gc_shows_first_and_deletes_when_told(retort: "Retort", old_and_young: LocalStore) -> None:
    shown = retort("gc")
    assert shown.code == 0, shown.err
    assert "nobody needs it" in shown.out
    assert "1 things, 2.3 kB that nobody needs. `retort gc --delete` deletes them." in shown.out
    assert list(old_and_young.list_artifacts()) == ["ppo/" + "a" * 64, "ppo/" + "b" * 64]

    deleted = retort("gc", "--delete", "--json")
    assert deleted.code == 0, deleted.err
    said = json.loads(deleted.out)
    assert [one["key"] for one in said["deleted"]] == ["ppo/" + "a" * 64]
    assert said["unneeded"] == said["deleted"]
    assert (said["busy"], [one["artifacts"] for one in said["kept"]]) == ([], [1])
    assert list(old_and_young.list_artifacts()) == ["ppo/" + "b" * 64]
    assert "Nothing to delete." in retort("gc").out
    # No model is needed to look.
    assert retort.noted("import") == []


def test_gc_refuses_what_it_cannot_see(retort: "Retort", old_and_young: LocalStore) -> None:
    """Models in a bucket whose server does not run may need what lies in the folder."""
    (retort.home / "s3").mkdir()
    result = retort("gc", "--delete")
    assert result.code == 2
    assert "Start it: `retort up`." in result.err
    assert len(list(old_and_young.list_artifacts())) == 2


def test_doctor_names_everything_and_changes_nothing(retort: "Retort") -> None:
    healthy = retort("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(healthy.out)}
    names = {"python", "libraries", "disk of the home", "clock", "private files", "secrets", "databases"}
    assert set(checks) >= names | {"feedback store", "servers", "leases", "artifacts set aside", "models"}
    failed = [name for name, check in checks.items() if check["state"] == "fail"]
    assert healthy.code == bool(failed)
    # What the machine has is its own affair; an empty home has nothing that could be ill.
    assert set(failed) <= {"libraries", "disk of the home", "disk of temporary files"}
    assert not retort.home.exists()


def test_doctor_fails_on_what_cannot_work(retort: "Retort") -> None:
    retort.home.mkdir(mode=0o755)
    (retort.home / "feedback.db").write_bytes(b"no database, but long enough for a header of one" * 20)
    (retort.home / "feedback.db").chmod(0o644)
    (retort.home / "s3").mkdir()
    result = retort("doctor")
    assert result.code == 1
    lines = [line for line in result.out.splitlines() if "fail" in line or "warn" in line]
    text = "\n".join(lines)
    for words in ("others may read feedback.db", "chmod 600", "not a database", "`retort up`"):
        assert words in text
    assert "no database, but" not in result.out
