"""The names of records, and the loop that makes only those that are not there."""

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

import pytest

from tasks.ml.records import RecordsMissing, complete, record_key, records_namespace


class MemoryRecords:
    """Records in a dictionary; those named in `damaged` prove damaged when they are first read."""

    def __init__(self, records: Mapping[str, bytes] = {}, damaged: Iterable[str] = ()) -> None:
        self.records, self.damaged = dict(records), set(damaged)
        self.pieces: list[list[str]] = []

    def known(self, keys: Iterable[str]) -> set[str]:
        return set(keys) & self.records.keys()

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        for key in self.damaged & self.records.keys():
            del self.records[key]
        self.damaged = set()
        return {key: self.records[key] for key in keys if key in self.records}

    def append(self, records: Mapping[str, bytes]) -> None:
        self.pieces.append(list(records))
        self.records |= records


def one_by_one(keys: list[str]) -> Iterator[dict[str, bytes]]:
    for key in keys:
        yield {key: key.encode() * 2}


def test_a_key_is_the_digest_of_the_canonical_json() -> None:
    text = '[1,"answer",[5,6],{"a":1,"b":0.5}]'
    expected = blake2b(text.encode(), digest_size=32).hexdigest()
    assert json.loads(text) == [1, "answer", [5, 6], {"b": 0.5, "a": 1}]
    assert record_key("answer", (5, 6), {"b": 0.5, "a": 1}) == expected
    assert len(expected) == 64


@pytest.mark.parametrize(
    "other", [("answer", [5, 6], 1), ("score", [5, 6], 0), ("answer", [56], 0), ("answer", [5], 6, 0)]
)
def test_whatever_differs_gives_another_key(other: tuple[object, ...]) -> None:
    assert record_key("answer", [5, 6], 0) != record_key(*other)


def test_what_json_cannot_say_has_no_key() -> None:
    with pytest.raises(TypeError):
        record_key({1, 2})
    with pytest.raises(ValueError, match="Out of range"):
        record_key(float("nan"))


def test_a_namespace_is_the_kind_and_a_digest_of_the_teacher() -> None:
    first, second = records_namespace("answer", "sha256:a"), records_namespace("answer", "sha256:b")
    assert first != second
    kind, digest = first.split("/")
    assert kind == "answer"
    assert len(bytes.fromhex(digest)) == 32
    assert records_namespace("score", "sha256:a").split("/")[1] != digest


def test_only_what_is_missing_is_made_in_the_order_asked_for() -> None:
    records = MemoryRecords({"b": b"old"})
    found = complete(records, ["c", "b", "a", "c"], one_by_one)
    assert found == {"c": b"cc", "b": b"old", "a": b"aa"}
    assert records.pieces == [["c"], ["a"]]


def test_nothing_is_made_where_nothing_is_missing() -> None:
    def fail(keys: list[str]) -> Iterator[dict[str, bytes]]:
        raise AssertionError(keys)

    assert complete(MemoryRecords({"a": b"1"}), ["a"], fail) == {"a": b"1"}
    assert complete(MemoryRecords(), [], fail) == {}


def test_a_record_that_proves_damaged_is_made_again() -> None:
    records = MemoryRecords({"a": b"bad", "b": b"good"}, damaged=["a"])
    assert complete(records, ["a", "b"], one_by_one) == {"a": b"aa", "b": b"good"}
    assert records.pieces == [["a"]]


def test_what_was_made_before_a_failure_is_kept() -> None:
    def failing(keys: list[str]) -> Iterator[dict[str, bytes]]:
        yield {keys[0]: b"1"}
        raise ConnectionError

    records = MemoryRecords()
    with pytest.raises(ConnectionError):
        complete(records, ["a", "b"], failing)
    assert complete(records, ["a", "b"], one_by_one) == {"a": b"1", "b": b"bb"}


def test_records_that_never_come_are_an_error_and_no_endless_loop() -> None:
    with pytest.raises(RecordsMissing, match="got 1 of 2"):
        complete(MemoryRecords({"a": b"1"}), ["a", "b"], lambda keys: iter(()))
