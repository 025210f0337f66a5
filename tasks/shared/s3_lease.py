"""One writer a key, through a small object in a bucket: created if absent, renewed, taken over when stale.

Its age is told by the server's clock, so the clocks of the writers need not agree.
"""

import contextlib
import random
import threading
import time
import uuid
from collections.abc import Callable, Collection

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.errors import Problem
from tasks.shared.errors import StoreError
from tasks.shared.s3_bucket import Bucket, StoredObject

_POLL_SECONDS = 1.0
# HTTP tells time in whole seconds.
_CLOCK_GRAIN_SECONDS = 1.0


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
        self._key = key
        self._seconds = seconds
        self._renewals = 0
        self._etag = ""
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

    def release(self) -> None:
        """Give the lease back, unless it was lost."""
        self._released.set()
        self._thread.join()
        # If the server is away, the lease runs out by itself.
        with contextlib.suppress(StoreError):
            self._bucket.delete(self._key, self._etag)

    def _try(self, dead: Collection[str]) -> bool:
        stored = self._bucket.read(self._key)
        if stored is None:
            etag = self._bucket.create(self._key, self._note())
        elif self._is_free(stored, dead):
            etag = self._bucket.replace(self._key, self._note(), stored.etag)
        else:
            return False
        self._etag = etag or ""
        return etag is not None

    def _is_free(self, stored: StoredObject, dead: Collection[str]) -> bool:
        note = self._parse(stored)
        stale = stored.age > note.seconds + _CLOCK_GRAIN_SECONDS
        # It is our own if the answer to our first try was lost.
        return stale or note.owner == self.owner or note.owner in dead

    def _keep(self) -> None:
        """Renew until released; the body of the thread."""
        renewed = time.monotonic()
        while not self._released.wait(self._seconds / 3):
            self._renewals += 1
            with contextlib.suppress(StoreError):
                if not self._renew():
                    self.lost.set()
                    return
                renewed = time.monotonic()
            if time.monotonic() - renewed > self._seconds:
                self.lost.set()
                return

    def _renew(self) -> bool:
        etag = self._bucket.replace(self._key, self._note(), self._etag)
        if etag is None:
            stored = self._bucket.read(self._key)
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
