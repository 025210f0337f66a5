"""What every artifact store can do, and how an artifact gets from one to another.

The kinds of store are in `local_store` (a folder) and `s3_store` (a bucket). Their layout is the same:
`artifacts/<key>/<file>`, `artifacts/<key>/manifest.json`, `checkpoints/<key>/<name>`, `leases/<key>`,
`records/<key>.json`, `shards/<namespace>/<sha256>`, `quarantine/<key>-<n>/<file>`,
`quarantine/<key>-<n>.json` (the reason), `quarantine/shards/<namespace>/<sha256>`.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tasks.shared.artifacts import MANIFEST_NAME, ArtifactRef, Manifest, read_manifest
from tasks.shared.disk import wait_silently


class Store(Protocol):
    """Keeps finished artifacts, the checkpoints of unfinished ones, and who is working on which."""

    def find(self, key: str) -> ArtifactRef | None:
        """Look an artifact up; only its manifest is read.

        Raises:
            CorruptArtifactError: There is one, but its manifest cannot be read.
        """
        ...

    def manifest(self, key: str) -> Manifest | None:
        """Give what an artifact holds and what it was made with; otherwise like `find`."""
        ...

    def commit(
        self,
        key: str,
        kind: str,
        folder: Path,
        parents: Sequence[str],
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
    ) -> ArtifactRef:
        """Store every file below a folder as an artifact, which exists from then on as a whole or not at all.

        If the key has an artifact already, that one is returned and nothing is stored.

        Raises:
            DiskFullError: There was no room; nothing half-written is left.
            StoreError: The folder is empty or holds links, or the store cannot be written.
        """
        ...

    def adopt(self, manifest: Manifest, folder: Path) -> ArtifactRef:
        """Store a folder under a manifest that was made before; otherwise like `commit`."""
        ...

    def fetch(self, ref: ArtifactRef) -> Path:
        """Give a local folder with the artifact's files, each verified just now; not to be written to.

        Raises:
            CorruptArtifactError: Files are missing or changed; all are named.
        """
        ...

    def quarantine(self, key: str, reason: str) -> None:
        """Move an artifact aside, with the reason, so that its key is free again; hold the lease."""
        ...

    def list_artifacts(self) -> Iterator[str]:
        """Give the keys of all artifacts, sorted; their manifests are not read."""
        ...

    def delete(self, key: str) -> None:
        """Delete an artifact, its checkpoints and this machine's copies for good; hold the lease.

        The manifest goes last: what a kill leaves is still listed, and deleted by a second call.
        """
        ...

    def empty_quarantine(self) -> None:
        """Delete all artifacts that were moved aside, and the reasons, for good."""
        ...

    def lease(self, key: str, on_wait: Callable[[], None] = wait_silently) -> AbstractContextManager[None]:
        """Be the only one who works on a key; taken over when the holder dies.

        Args:
            key: The key to work on; not one that this thread holds already.
            on_wait: Called once if somebody else holds it.
        """
        ...

    def put_checkpoint(self, key: str, name: str, path: Path) -> None:
        """Keep one file of an unfinished stage, replacing the one of that name as a whole."""
        ...

    def get_checkpoint(self, key: str, name: str, path: Path) -> bool:
        """Write a checkpoint to a path; False, and nothing written, if there is none.

        Raises:
            CorruptArtifactError: It is not the file that was put; nothing is written.
        """
        ...

    def drop_checkpoints(self, key: str) -> None:
        """Delete all checkpoints of a key, if there are any."""
        ...

    def write_record(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep what must stay out of the manifest (seconds, run ids), replacing what was there."""
        ...

    def read_record(self, key: str) -> dict[str, Any] | None:
        """Give what `write_record` kept last; None if there is nothing or it is damaged."""
        ...

    def put_shard(self, namespace: str, data: bytes) -> str:
        """Keep an immutable file as a whole or not at all; give its name, which is its sha256.

        Args:
            namespace: A word, a slash and 64 hexadecimal digits.
            data: The file's bytes; the same bytes a second time change nothing.
        """
        ...

    def list_shards(self, namespace: str) -> list[str]:
        """Name the files that `put_shard` kept, sorted."""
        ...

    def get_shard(self, namespace: str, name: str) -> Path | None:
        """Give a local file with a shard's bytes, not verified, only to be read; None if there is none."""
        ...

    def quarantine_shard(self, namespace: str, name: str) -> bool:
        """Move a damaged shard aside; False if only a copy on this machine was, which is then gone."""
        ...


def parse_record(raw: bytes) -> dict[str, Any] | None:
    """Read a record's bytes; None if they are damaged, as no run should end for want of times and ids."""
    try:
        return dict(json.loads(raw))
    except (ValueError, TypeError):
        return None


def copy_artifact(key: str, source: Store, target: Store) -> ArtifactRef | None:
    """Adopt a finished artifact, with its record, from another store.

    Returns:
        The artifact in the target, also if it was there before; None if neither store has it.
    """
    present = target.find(key)
    if present is not None:
        return present
    ref = source.find(key)
    if ref is None:
        return None
    folder = source.fetch(ref)
    record = source.read_record(key)
    if record is not None:
        # Before the artifact: an artifact without its record would be found and stay without.
        target.write_record(key, record)
    return target.adopt(read_manifest((folder / MANIFEST_NAME).read_bytes(), ref, ref.uri), folder)
