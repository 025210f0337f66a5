"""The log of a use case's models in the store of a place: read as records, written by one at a time.

A home that goes from embedded runs to the servers of `retort up` takes its log along, and closes the one in
its folder: two logs that go on side by side would have two champions.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import ValidationError

from tasks.model_records import Act, Entry, ModelVersion, champion_of
from tasks.place import Place
from tasks.shared.artifacts import canonical_json, sha256_bytes
from tasks.shared.errors import Problem, ServiceError, StoreError
from tasks.shared.store_log import LocalLog, digest_of, follow_chain


class ModelLog:
    """The log of one use case; what was read once, and was whole, is not read again."""

    def __init__(self, place: Place, name: str, tell: Callable[[str], None]) -> None:
        """Nothing is read or written yet; `tell` shows people a line."""
        self._place, self._name, self._tell = place, name, tell
        self._log = place.log()
        self._entries: list[Entry] = []
        self._digests: list[str] = []

    def read(self) -> list[Entry]:
        """All entries in order.

        Raises:
            BrokenLogError: The log was changed.
            ServiceError: It went on in the S3 store of this home, whose server does not run.
        """
        self._settle()
        return self._read_on()

    @contextmanager
    def writing(self) -> Iterator[list[Entry]]:
        """Be the only writer, on any machine; gives the entries until now, which `append` adds to."""
        self._settle()
        with self._leased():
            if self._place.s3_endpoint is not None:
                self._place.folder_log().close(self._name)
            yield self._read_on()

    def append(
        self,
        entries: list[Entry],
        act: Act,
        version: ModelVersion,
        reason: str,
        by: str,
        evidence: str | None = None,
    ) -> Entry:
        """Write an entry and add it to the list that `writing` gave.

        Raises:
            StoreError: Somebody else wrote meanwhile.
        """
        champion = champion_of(entries)
        entry = Entry(
            sequence=len(entries) + 1,
            previous=self.head,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            act=act,
            version=version,
            champion_before=champion.number if champion else None,
            reason=reason,
            by=by,
            evidence=evidence,
        )
        data = canonical_json(entry.model_dump(mode="json"))
        if not self._log.append(self._name, entry.sequence, data):
            got = f"an entry {entry.sequence} by another writer"
            remedy = "Give the command again: it then sees what the other one did."
            raise StoreError(Problem(f"log {self._name}", got, "to be the only one", remedy))
        self._entries.append(entry)
        self._digests.append(digest_of(data))
        entries.append(entry)
        return entry

    @property
    def head(self) -> str:
        """The digest of the last entry that was read or written; that of none if there is none."""
        return self._digests[-1] if self._digests else digest_of(None)

    def digest(self, sequence: int) -> str | None:
        """The digest of an entry that was read or written; None if there is no such entry."""
        return self._digests[sequence - 1] if 0 < sequence <= len(self._digests) else None

    def _read_on(self) -> list[Entry]:
        found = self._log.read(self._name, len(self._entries))
        self._entries += as_entries(found, len(self._entries), self.head)
        self._digests += [digest_of(data) for _, data in found]
        return list(self._entries)

    def _settle(self) -> None:
        """See to it that the store of this place is where the log is."""
        folder = self._place.folder_log()
        if folder.is_closed(self._name):
            if self._place.s3_endpoint is None:
                remedy = "Start it: `retort up`."
                got = "a log that went on in the S3 store of this home, whose server does not run"
                raise ServiceError(Problem(f"models of {self._name}", got, "to read it there", remedy))
        elif self._place.s3_endpoint is not None and self._name in folder.names():
            with self._leased():
                self._take_over(folder)

    def _take_over(self, folder: LocalLog) -> None:
        found = folder.read(self._name)
        follow_chain(found)
        for number, (shown, data) in enumerate(found, start=1):
            if not self._log.append(self._name, number, data):
                # Others have used the S3 store before this home did; their log is the one that holds.
                self._tell(f"models: left behind, as the S3 store has a log of {self._name}: {shown}")
                break
        folder.close(self._name)

    @contextmanager
    def _leased(self) -> Iterator[None]:
        key = f"registry/{sha256_bytes(self._name.encode())}"
        with self._place.store().lease(key, lambda: self._tell("models: waiting for another writer")):
            yield


def as_entries(found: Sequence[tuple[str, bytes]], after: int, head: str) -> list[Entry]:
    """Stored entries as records, their chain checked; `follow_chain` explains what is given.

    Raises:
        BrokenLogError: The log was changed.
        StoreError: Another version of Retort wrote an entry.
    """
    entries = []
    for (shown, _), record in zip(found, follow_chain(found, after, head), strict=True):
        try:
            entries.append(Entry.model_validate(record))
        except ValidationError as error:
            remedy = "Read it with the Retort that wrote it."
            raise StoreError(
                Problem(shown, f"{error.error_count()} fields unlike ours", "an entry of a model log", remedy)
            ) from error
    return entries
