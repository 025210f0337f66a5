"""Digests of what a source holds, for cache keys: other content, another digest; another time, the same."""

import json
import time
from pathlib import Path
from typing import Any

from configs.errors import Problem
from tasks.shared.artifacts import canonical_json, sha256_bytes, sha256_file
from tasks.shared.disk import write_file
from tasks.shared.errors import DataError
from tasks.shared.source_files import find_path

# A file that was written a moment ago may be written again without its times changing.
_SETTLED_NANOSECONDS = 2_000_000_000


def source_digest(source: str, memo: Path | None, endpoint: str | None = None) -> str:
    """Return a text that changes when what the source holds does.

    Args:
        source: A file or folder, `s3://bucket/key` or `hf:owner/name/config@split`.
        memo: A file that remembers the digests of local files while they do not change; None to read them.
        endpoint: The S3 server's address, for sources there.

    Raises:
        DataError: There is no such source, or it changes while it is read.
        StoreError: The S3 server cannot be reached, or it refused.
    """
    if source.startswith("hf:"):
        from tasks.shared.source_hub import hub_revision

        return f"{source}#{hub_revision(source)}"
    if source.startswith("s3://"):
        from tasks.shared.source_objects import object_version

        return f"etag:{object_version(source, endpoint)}"
    path = find_path(source)
    digests = _FileDigests(memo)
    try:
        result = f"tree:{_tree_digest(path, digests)}" if path.is_dir() else f"sha256:{digests.of(path)}"
    except OSError as error:
        raise DataError(
            Problem(source, str(error), "files that can be read", "Correct their rights.")
        ) from error
    digests.save()
    return result


def _tree_digest(folder: Path, digests: "_FileDigests") -> str:
    files: dict[str, str] = {}
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = digests.of(path)
        elif path.is_symlink() or not path.is_dir():
            got = "a link to a folder or to nothing, or a device"
            problems.append(Problem(str(path), got, "files and folders", "Put the files themselves there."))
    if not files and not problems:
        problems.append(
            Problem(str(folder), "a folder without files", "at least one file", "Fill the folder.")
        )
    if problems:
        raise DataError(problems)
    return sha256_bytes(canonical_json(files))


class _FileDigests:
    """Digests of local files, remembered by path and by what changes when a file does."""

    def __init__(self, memo: Path | None) -> None:
        self._memo = memo
        self._known: dict[str, Any] = _read_memo(memo) if memo else {}
        self._changed = False

    def of(self, path: Path) -> str:
        """Return the sha256 of a file, read only if it is new or has changed."""
        name = str(path.resolve())
        stamp = _stamp(path)
        known = self._known.get(name)
        if isinstance(known, list) and known[:-1] == stamp:
            return str(known[-1])
        digest = sha256_file(path)
        if _stamp(path) != stamp:
            remedy = "Run again when it is complete."
            raise DataError(Problem(str(path), "a file that is being written", "a file that stays", remedy))
        if time.time_ns() - max(stamp[1:]) > _SETTLED_NANOSECONDS:
            self._known[name] = [*stamp, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write what was learnt to the memo."""
        if self._memo and self._changed:
            write_file(self._memo, canonical_json(self._known))


def _stamp(path: Path) -> list[int]:
    """Return size and times; the time of any change tells apart copies that keep the date of their text."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read_memo(memo: Path) -> dict[str, Any]:
    """Read what is remembered; a memo that cannot be read only costs reading the files again."""
    try:
        known = json.loads(memo.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
