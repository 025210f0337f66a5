"""Secrets of a home: drawn at random once, kept in files that their owner alone can read."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tasks.shared.disk import disk_errors, replacing


def drawn_once(path: Path, draw: Callable[[], str]) -> str:
    """The secret in a file; on the first call it is drawn, and whose was first stays."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        drawn = path.with_name(f"{path.name}.{os.getpid()}")
        write_private(drawn, draw().encode())
        with suppress(FileExistsError):
            path.hardlink_to(drawn)
        drawn.unlink()
    return path.read_text()


def write_private(path: Path, data: bytes) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    with disk_errors(path, len(data)), replacing(path) as out:
        os.fchmod(out.fileno(), 0o600)
        out.write(data)
