"""A store seen as plain files, with their sizes and ages: for housekeeping, which looks behind the artifacts.

The two kinds fit the two kinds of store, whose layout is in `store`.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.shared.disk import disk_errors
from tasks.shared.s3_bucket import Bucket

_PRUNED = ("quarantine", "staging")


@dataclass(frozen=True)
class StoredFile:
    """One file: its path below the store's root, its bytes, and the seconds since it was written."""

    place: str
    bytes: int
    age: float


class StoreFiles(Protocol):
    """What lies in a store, whether or not it belongs to an artifact."""

    def shown(self, place: str) -> str:
        """The address of a place, for people."""
        ...

    def walk(self, area: str) -> Iterator[StoredFile]:
        """Give every file below an area, such as `checkpoints`, sorted by place."""
        ...

    def remove(self, place: str) -> None:
        """Delete one file for good, if it is there."""
        ...


class FolderFiles:
    """The files of a `LocalStore`; ages are told by this machine's clock."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def shown(self, place: str) -> str:
        """The path."""
        return str(self._root / place)

    def walk(self, area: str) -> Iterator[StoredFile]:
        """Walk the folder; what vanishes meanwhile is not there."""
        with disk_errors(self._root / area, 0):
            names = [Path(folder, name) for folder, _, names in os.walk(self._root / area) for name in names]
            for path in sorted(names):
                with suppress(FileNotFoundError):
                    status = path.lstat()
                    place = path.relative_to(self._root).as_posix()
                    yield StoredFile(place, status.st_size, max(0.0, time.time() - status.st_mtime))

    def remove(self, place: str) -> None:
        """Delete the file and, where no writer may be about to use them, the folders left empty."""
        path, area = self._root / place, place.partition("/")[0]
        with disk_errors(path, 0):
            path.unlink(missing_ok=True)
            for folder in path.parents if area in _PRUNED else ():
                if folder == self._root / area or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()


class BucketFiles:
    """The objects of an `S3Store` without a prefix; ages are told by the server's clock."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def shown(self, place: str) -> str:
        """The uri."""
        return self._bucket.uri(place)

    def walk(self, area: str) -> Iterator[StoredFile]:
        """List the objects page by page."""
        for entry in self._bucket.entries(f"{area}/"):
            yield StoredFile(entry.key, entry.bytes, entry.age)

    def remove(self, place: str) -> None:
        """Delete the object."""
        self._bucket.delete(place)
