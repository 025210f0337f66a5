"""Append-only logs: each kind of store, its chain, and what of it cannot be undone unseen."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.shared.errors import StoreError
from tasks.shared.s3_bucket import Bucket
from tasks.shared.store_log import BrokenLogError, EntryLog, LocalLog, S3Log, follow_chain

Make = Callable[[str], EntryLog]


def spelled(record: dict[str, Any]) -> bytes:
    """The spelling of an entry, written down by hand."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def chain(*words: str) -> list[bytes]:
    """Entries that name each other, made without the code under test."""
    entries: list[bytes] = []
    for number, word in enumerate(words, start=1):
        previous = hashlib.sha256(entries[-1]).hexdigest() if entries else "0" * 64
        entries.append(spelled({"previous": previous, "sequence": number, "word": word}))
    return entries


def placed(entries: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"log/use/{number:08d}.json", entry) for number, entry in enumerate(entries, start=1)]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.service)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> EntryLog:
    if request.param == "local":
        return LocalLog(tmp_path / "store")
    server = request.getfixturevalue("s3_server")
    bucket = Bucket(server.bucket, server.endpoint)
    for key in bucket.keys("log/"):
        bucket.delete(key)
    return S3Log(bucket)


def test_what_is_appended_is_read_in_order(log: EntryLog) -> None:
    assert (log.names(), log.read("use")) == ([], [])
    entries = chain(*(str(number) for number in range(11)))
    assert all(log.append("use", number, entry) for number, entry in enumerate(entries, start=1))
    assert log.append("other", 1, entries[0])
    assert log.names() == ["other", "use"]
    assert [entry for _, entry in log.read("use")] == entries
    assert log.read("use")[10][0].endswith("log/use/00000011.json")
    assert [entry for _, entry in log.read("use", 9)] == entries[9:]
    assert log.read("use", 11) == []


def test_an_entry_is_created_once(log: EntryLog) -> None:
    first, other = chain("first")[0], chain("other")[0]
    assert log.append("use", 1, first)
    assert not log.append("use", 1, other)
    # The answer to a write may be lost: to write the same again is no clash.
    assert log.append("use", 1, first)
    assert [entry for _, entry in log.read("use")] == [first]


def test_of_many_writers_one_wins(log: EntryLog) -> None:
    entries = [chain(f"writer {number}")[0] for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda entry: log.append("use", 1, entry), entries))
    assert won.count(True) == 1
    assert [entry for _, entry in log.read("use")] == [entries[won.index(True)]]


@pytest.mark.parametrize("name", ["", "Upper", "../up", "a/b", "a" * 41, ".closed"])
def test_a_name_that_leads_elsewhere_is_refused(log: EntryLog, name: str) -> None:
    with pytest.raises(StoreError, match="small letter"):
        log.append(name, 1, b"{}")
    with pytest.raises(StoreError, match="small letter"):
        log.read(name)


def test_what_a_killed_writer_left_is_no_entry(tmp_path: Path) -> None:
    log = LocalLog(tmp_path)
    (tmp_path / "log" / "use").mkdir(parents=True)
    (tmp_path / "log" / "use" / ".00000001.json.ab.part").write_bytes(b'{"half')
    assert (log.names(), log.read("use")) == ([], [])
    [entry] = chain("whole")
    assert log.append("use", 1, entry)
    assert (log.names(), [raw for _, raw in log.read("use")]) == (["use"], [entry])


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    log = LocalLog(tmp_path)
    assert log.append("use", 1, chain("one")[0])
    assert not log.is_closed("use")
    log.close("use")
    assert log.is_closed("use")
    assert not log.is_closed("other")
    assert len(log.read("use")) == 1


def test_a_whole_chain_is_read() -> None:
    assert follow_chain([]) == []
    records = follow_chain(placed(chain("a", "b", "c")))
    assert [record["word"] for record in records] == ["a", "b", "c"]


def test_a_chain_is_read_on() -> None:
    entries = chain("a", "b", "c")
    head = hashlib.sha256(entries[1]).hexdigest()
    assert [record["word"] for record in follow_chain(placed(entries)[2:], 2, head)] == ["c"]
    with pytest.raises(BrokenLogError, match=r"00000003\.json"):
        follow_chain(placed(entries)[2:], 2, "0" * 64)


def reworded(entry: bytes) -> bytes:
    return entry.replace(b'"b"', b'"x"')


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        # What was changed fits the entry before it; the one after it tells.
        (lambda e: [e[0], reworded(e[1]), e[2], e[3]], "00000003.json"),
        (lambda e: [e[0], e[1][:-3], e[2], e[3]], "00000002.json"),
        (lambda e: [e[0], b'{"word": "b"}', e[2], e[3]], "00000002.json"),
        (lambda e: [e[0], b'{"word":NaN}', e[2], e[3]], "00000002.json"),
        (lambda e: [e[0], e[2], e[3]], "00000002.json"),
        (lambda e: [e[1], e[0], e[2], e[3]], "00000001.json"),
        (lambda e: [e[0], *chain("x", "y")[1:], e[2], e[3]], "00000002.json"),
    ],
)
def test_a_broken_chain_names_its_first_entry_that_does_not_fit(
    damage: Callable[[list[bytes]], list[bytes]], named: str
) -> None:
    with pytest.raises(BrokenLogError) as caught:
        follow_chain(placed(damage(chain("a", "b", "c", "d"))))
    [problem] = caught.value.problems
    assert problem.what.endswith(named)


def test_a_missing_entry_is_named_by_the_one_that_is_there() -> None:
    found = placed(chain("a", "b", "c"))
    with pytest.raises(BrokenLogError, match=r"00000003\.json.*expected entry 2"):
        follow_chain([found[0], found[2]])
