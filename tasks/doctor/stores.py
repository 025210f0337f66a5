"""The artifact stores: what is worked on, what dead runs hold, and what was set aside as damaged."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from tasks.doctor.check import Check, ok, warn
from tasks.garbage.shelves import Shelf
from tasks.place import STORE, Place
from tasks.shared.s3_bucket import Bucket
from tasks.shared.s3_lease import LeaseNote
from tasks.shared.store_files import BucketFiles

# HTTP tells time in whole seconds.
_GRAIN_SECONDS = 1.0


def leases(place: Place) -> Iterator[Check]:
    """Keys that somebody works on, and leases whose owner has not renewed them."""
    held = list(_locked(place.home / STORE / "leases"))
    dead: list[str] = []
    if place.s3_endpoint is not None and place.s3_bucket is not None:
        bucket = Bucket(place.s3_bucket, place.s3_endpoint)
        for file in BucketFiles(bucket).walk("leases"):
            key = file.place.partition("/")[2]
            (held if _is_renewed(bucket, file.place, file.age) else dead).append(key)
    if dead:
        remedy = "Start the run again: it takes them over at once, and goes on from its last checkpoint."
        yield warn("leases", f"left by dead owners: {', '.join(map(_short, dead))}", remedy)
    working = f"worked on now: {', '.join(map(_short, held))}" if held else "no key is worked on"
    if held or not dead:
        yield ok("leases", working)


def _locked(folder: Path) -> Iterator[str]:
    """Keys whose lock file some process holds; the kernel frees those of the dead."""
    for path in sorted(folder.glob("*/*")):
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path.relative_to(folder).as_posix()
            finally:
                os.close(descriptor)


def _is_renewed(bucket: Bucket, place: str, age: float) -> bool:
    stored = bucket.read(place)
    if stored is None:
        return True
    with suppress(ValidationError):
        return age <= LeaseNote.model_validate_json(stored.body).seconds + _GRAIN_SECONDS
    return False


def quarantine(shelves: list[Shelf]) -> Iterator[Check]:
    """Artifacts that proved damaged; many of them mean that a disk dies."""
    aside = {
        shelf.files.shown("/".join(file.place.split("/")[:3]).removesuffix(".json"))
        for shelf in shelves
        for file in shelf.files.walk("quarantine")
    }
    if aside:
        remedy = "Look at them and at the disk; `retort gc` deletes them after some days."
        yield warn("artifacts set aside", f"{len(aside)} damaged: {', '.join(sorted(aside)[:3])}", remedy)
    else:
        yield ok("artifacts set aside", "none")


def _short(key: str) -> str:
    stage, _, digest = key.partition("/")
    return f"{stage}/{digest[:12]}"
