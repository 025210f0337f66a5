"""One writer a key, through a small object in a bucket: created if absent, renewed, taken over when stale.

Stale is what nobody renewed while a rival looked on for long enough, by the rival's own stopwatch and with
the server answering. So no clock needs to be right, and a server that was away makes no lease stale.
"""

import contextlib
import random
import threading
import time
import uuid
from collections.abc import Callable, Collection

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.errors import Problem
from tasks.shared.errors import LeaseLostError, StoreError
from tasks.shared.patience import Patience
from tasks.shared.s3_bucket import Bucket, StoredObject

_POLL_SECONDS = 1.0
# A look that took longer was answered by a server that had been away, and so had the holder's renewals.
_PROMPT_SECONDS = 5.0
# Beyond a lease's own seconds, for the holder's renewal that is under way.
_GRACE_SECONDS = 1.0


class LeaseNote(BaseModel):
    """What the object says: who holds the key, and after how many seconds without a renewal no more.

    The count of renewals gives every renewal another etag; with one and the same, a lease renewed in the
    moment between a rival's look and its write would be lost to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    seconds: float = Field(gt=0)
    renewal: int = Field(ge=0)


class S3Lease:
    """A lease on one object, renewed by a thread while it is held.

    Attributes:
        owner: A random name, new for every lease.
        lost: Set when another took the lease over, which means that this process was away for too long.
    """

    def __init__(self, bucket: Bucket, key: str, seconds: float) -> None:
        self.owner = uuid.uuid4().hex
        self.lost = threading.Event()
        self._bucket = bucket
        # Renewals come often; one that waited for long would hold the release up.
        self._hurried = bucket.with_patience(Patience())
        self._key = key
        self._seconds = seconds
        self._renewals = 0
        self._etag = ""
        self._seen, self._since = "", 0.0
        self._renewing = threading.Lock()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {key}", daemon=True)

    def acquire(self, dead: Collection[str], on_wait: Callable[[], None]) -> None:
        """Wait until the lease is free, and take it.

        Args:
            dead: Owners who are known to be gone; a lease of theirs counts as free.
            on_wait: Called after every look that found the lease held by another.
        """
        while not self._try(dead):
            on_wait()
            time.sleep(random.uniform(0.5, 1.0) * _POLL_SECONDS)
        self._thread.start()

    def confirm(self) -> None:
        """Renew at once, to be sure that the lease is still held.

        Raises:
            LeaseLostError: Another took it over.
        """
        if self.lost.is_set() or not self._renew(self._bucket):
            raise LeaseLostError(
                Problem(
                    self._bucket.uri(self._key),
                    "another writer, who took the lease over while this process was away",
                    "to be the only one",
                    "Run again: what the other finished is then found.",
                )
            )

    def release(self) -> None:
        """Give the lease back, unless it was lost."""
        self._released.set()
        self._thread.join()
        # If the server is away, the lease runs out by itself.
        with contextlib.suppress(StoreError):
            self._hurried.delete(self._key, self._etag)

    def _try(self, dead: Collection[str]) -> bool:
        asked = time.monotonic()
        stored = self._bucket.read(self._key)
        if stored is None:
            etag = self._bucket.create(self._key, self._note())
        elif self._is_free(stored, dead, asked):
            etag = self._bucket.replace(self._key, self._note(), stored.etag)
        else:
            return False
        self._etag = etag or ""
        return etag is not None

    def _is_free(self, stored: StoredObject, dead: Collection[str], asked: float) -> bool:
        note, now = self._parse(stored), time.monotonic()
        # It is our own if the answer to our first try was lost.
        if note.owner == self.owner or note.owner in dead:
            return True
        if stored.etag != self._seen or now - asked > _PROMPT_SECONDS:
            self._seen, self._since = stored.etag, now
        return now - self._since > note.seconds + _GRACE_SECONDS

    def _keep(self) -> None:
        """Renew until released or lost, however often the server is away; the body of the thread."""
        while not self._released.wait(self._seconds / 3):
            with contextlib.suppress(StoreError):
                if not self._renew(self._hurried):
                    self.lost.set()
                    return

    def _renew(self, bucket: Bucket) -> bool:
        """Write the note anew; False if it is no longer ours."""
        with self._renewing:
            self._renewals += 1
            etag = bucket.replace(self._key, self._note(), self._etag)
            if etag is None:
                stored = bucket.read(self._key)
                if stored is None or self._parse(stored).owner != self.owner:
                    return False
                etag = stored.etag
            self._etag = etag
            return True

    def _note(self) -> bytes:
        note = LeaseNote(owner=self.owner, seconds=self._seconds, renewal=self._renewals)
        return note.model_dump_json().encode()

    def _parse(self, stored: StoredObject) -> LeaseNote:
        try:
            return LeaseNote.model_validate_json(stored.body)
        except ValidationError as error:
            raise StoreError(
                Problem(self._bucket.uri(self._key), "no lease", "a lease", "Delete the object.")
            ) from error
