"""Scratch folders of stages: each is locked by its owner, so that what a killed one left can be told."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.shared.disk import exclusive

LOCK = ".lock"
# A folder exists for a moment before its owner holds the lock.
_YOUNG_SECONDS = 60.0
# One without a lock was made by an earlier version, perhaps by a run that still goes on.
_UNLOCKED_SECONDS = 86400.0


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A folder of one's own below another, gone when the block ends."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder, exclusive(Path(folder, LOCK)):
        yield Path(folder)


def dead_scratch(parent: Path) -> list[Path]:
    """The scratch folders below a folder whose owners died, sorted."""
    return [folder for folder in sorted(parent.glob("*")) if folder.is_dir() and is_dead(folder)]


def is_dead(folder: Path) -> bool:
    """Whether nobody holds the lock of a scratch folder that is no longer new; False if it is gone."""
    with suppress(FileNotFoundError):
        age = time.time() - folder.stat().st_mtime
        if not (folder / LOCK).exists():
            return age > _UNLOCKED_SECONDS
        return age > _YOUNG_SECONDS and not _is_locked(folder / LOCK)
    return False


def remove_dead(folder: Path) -> bool:
    """Delete a scratch folder; False, and nothing deleted, if its owner lives."""
    if not is_dead(folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
