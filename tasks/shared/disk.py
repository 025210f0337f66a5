"""Writes that neither a kill nor a full disk leaves half done, and locks that die with their holder.

It knows nothing of artifacts.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from configs.errors import Problem
from tasks.shared.errors import DiskFullError, StoreError

_CHUNK = 1 << 20


def wait_silently() -> None:
    """Do nothing: what is called on waiting by those who do not care."""


@contextmanager
def disk_errors(target: Path, needed: int) -> Iterator[None]:
    """Turn the system's errors while something is read or written into the family's.

    Args:
        target: What is read or written; errors name it.
        needed: How many bytes it takes on the disk; 0 for reading.

    Raises:
        DiskFullError: The disk, or the user's share of it, is full.
        StoreError: Anything else that the system refused.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(_existing(target)).free
            raise DiskFullError(
                Problem(str(target), f"{free} bytes free", f"{needed} bytes", "Make room and run again.")
            ) from error
        raise StoreError(
            Problem(str(target), str(error), "a place to read and write", "Mend it and run again.")
        ) from error


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_into(source: Path, out: BinaryIO) -> str:
    """Append a file to an open one and give the sha256 of what was written."""
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the target's name when the block ends well, and vanishes otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)


def write_file(target: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    with disk_errors(target, len(data)), replacing(target) as out:
        out.write(data)


def seal_folder(folder: Path) -> None:
    """Make a finished folder's files read-only and let them outlive a power cut."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            path.chmod(0o444)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(place))


def move_folder(source: Path, target: Path) -> bool:
    """Give a folder another name in one step; False if a folder with files has that name already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    sync_folder(target.parent)
    return True


@contextmanager
def exclusive(path: Path, on_wait: Callable[[], None] = wait_silently) -> Iterator[BinaryIO]:
    """Hold a lock file, which the kernel frees when its holder dies.

    It keeps out other threads too, and must not be taken twice by one. The file stays: to delete it
    would let two processes lock two files of one name. Folders shared over a network may not lock.

    Args:
        path: The lock file; made if missing.
        on_wait: Called once if somebody else holds it.

    Yields:
        The open lock file, for a note by its holder.
    """
    with disk_errors(path, 0):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file
        finally:
            # Closing is not enough: a forked child holds the same lock through its copy of the file.
            fcntl.flock(file, fcntl.LOCK_UN)
