"""Append-only logs in an artifact store: numbered entries, each with the digest of the one before.

An entry is `log/<name>/<sequence>.json`, created whole and only if there is none, so that of two writers one
finds out. A changed, missing or inserted entry breaks the chain. What no chain shows is that its last links
are gone: whoever must know keeps the digest of the newest entry somewhere else.
"""

import contextlib
import json
import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from configs.errors import Problem
from tasks.shared.artifacts import canonical_json, sha256_bytes
from tasks.shared.disk import disk_errors, sync_folder, write_file
from tasks.shared.errors import StageError, StoreError

if TYPE_CHECKING:
    from tasks.shared.s3_bucket import Bucket

AREA = "log"
FIRST = "0" * 64  # in the place of a digest before the first entry

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DIGITS = 8
_CLOSED = ".closed"


class BrokenLogError(StoreError):
    """Raised when an entry of a log is not the one that was appended; the first such entry is named."""


class EntryLog(Protocol):
    """The logs of one store."""

    def names(self) -> list[str]:
        """Name the logs that have an entry, sorted."""
        ...

    def append(self, name: str, sequence: int, data: bytes) -> bool:
        """Create an entry, whole or not at all; False, and nothing changed, if there is another one.

        Raises:
            StoreError: The name is no log's, or the store cannot be written.
        """
        ...

    def read(self, name: str, after: int = 0) -> list[tuple[str, bytes]]:
        """Give where each entry is and its bytes, in order; empty if there is no such log.

        Args:
            name: Of the log.
            after: The number of the last entry that is not wanted.
        """
        ...


class LocalLog:
    """Logs in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._area = root.absolute() / AREA

    def names(self) -> list[str]:
        """List the folders."""
        with disk_errors(self._area, 0):
            return sorted(path.name for path in self._area.glob("*/") if any(path.glob("[!.]*")))

    def append(self, name: str, sequence: int, data: bytes) -> bool:
        """Write a file of another name, then link it: a link is made only where nothing is."""
        target = self._area / entry_place(name, sequence)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
        with disk_errors(target, len(data)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("xb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                part.chmod(0o444)
                with contextlib.suppress(FileExistsError):
                    os.link(part, target)
            finally:
                part.unlink(missing_ok=True)
            sync_folder(target.parent)
            return target.read_bytes() == data

    def read(self, name: str, after: int = 0) -> list[tuple[str, bytes]]:
        """Read the files."""
        folder, last = self._area / checked(name), (self._area / entry_place(name, after)).name
        with disk_errors(folder, 0):
            wanted = sorted(path for path in folder.glob("[!.]*") if path.name > last)
            return [(str(path), path.read_bytes()) for path in wanted]

    def close(self, name: str) -> None:
        """Mark a log as one that goes on in another store."""
        write_file(self._area / checked(name) / _CLOSED, b"")

    def is_closed(self, name: str) -> bool:
        """Whether a log goes on in another store."""
        return (self._area / checked(name) / _CLOSED).exists()


class S3Log:
    """Logs below a bucket's root."""

    def __init__(self, bucket: "Bucket") -> None:
        self._bucket = bucket

    def names(self) -> list[str]:
        """List the objects; a thousand of them cost one request."""
        return sorted({key.split("/")[1] for key in self._bucket.walk(f"{AREA}/")})

    def append(self, name: str, sequence: int, data: bytes) -> bool:
        """Create the object if there is none; what is there then says whether it was this call's."""
        key = f"{AREA}/{entry_place(name, sequence)}"
        self._bucket.create(key, data)
        stored = self._bucket.read(key)
        return stored is not None and stored.body == data

    def read(self, name: str, after: int = 0) -> list[tuple[str, bytes]]:
        """Read the objects one by one."""
        last = f"{AREA}/{entry_place(name, after)}"
        keys = [key for key in self._bucket.keys(f"{AREA}/{checked(name)}/") if key > last]
        found = [(self._bucket.uri(key), self._bucket.read(key)) for key in keys]
        return [(shown, stored.body if stored else b"") for shown, stored in found]


def entry_place(name: str, sequence: int) -> str:
    """Give the path of an entry below the area of logs."""
    return f"{checked(name)}/{sequence:0{_DIGITS}d}.json"


def checked(name: str) -> str:
    """Give a log's name back.

    Raises:
        StoreError: It could lead out of its folder.
    """
    if not _NAME.fullmatch(name):
        expected = "a small letter, then at most 39 small letters, digits and dashes"
        raise StoreError(Problem("name", repr(name), expected, "Use the `name` of a configuration."))
    return name


def digest_of(entry: bytes | None) -> str:
    """Give the digest by which the next entry names this one."""
    return FIRST if entry is None else sha256_bytes(entry)


def follow_chain(
    found: Sequence[tuple[str, bytes]], after: int = 0, head: str = FIRST
) -> list[dict[str, Any]]:
    """Read entries as JSON, each checked against its place and against the entry before it.

    Args:
        found: What `EntryLog.read` gave.
        after: The number of the entry before these.
        head: The digest of that one.

    Raises:
        BrokenLogError: Naming the first entry that does not fit.
    """
    records: list[dict[str, Any]] = []
    for number, (shown, raw) in enumerate(found, start=after + 1):
        if not shown.endswith(f"/{number:0{_DIGITS}d}.json"):
            raise _broken(shown, "the next entry that is there", f"entry {number}")
        record = _parsed(shown, raw)
        if record.get("sequence") != number:
            raise _broken(shown, f"the number {record.get('sequence')} in it", str(number))
        if record.get("previous") != head:
            expected = f"{head}, the digest of the entry before"
            raise _broken(shown, f"`previous` {record.get('previous')}", expected)
        records.append(record)
        head = digest_of(raw)
    return records


def _parsed(shown: str, raw: bytes) -> dict[str, Any]:
    try:
        record = json.loads(raw)
        if isinstance(record, dict) and canonical_json(record) == raw:
            return record
    except (ValueError, StageError):
        pass
    raise _broken(shown, "other bytes than were appended", "an entry as appended")


def _broken(shown: str, got: str, expected: str) -> BrokenLogError:
    remedy = "Somebody changed the log: put that entry, or one before it, back from a backup of the store."
    return BrokenLogError(Problem(shown, got, expected, remedy))
