"""A store in a folder of this machine.

An artifact is put together beside its place and gets its name in one rename, so half of one is never seen.
A checkpoint is `checkpoints/<key>/<name>/<sha256>`: file and digest appear in one rename, too, as do shards.
"""

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.shared.artifacts import (
    MANIFEST_NAME,
    ArtifactRef,
    CorruptArtifactError,
    Manifest,
    canonical_json,
    checkpoint_place,
    make_manifest,
    parse_manifest,
    place,
    sha256_bytes,
    sha256_file,
    verify_artifact,
    verify_files,
    wrong_digest,
)
from tasks.shared.disk import (
    copy_into,
    disk_errors,
    exclusive,
    move_folder,
    replacing,
    seal_folder,
    wait_silently,
    write_file,
)
from tasks.shared.store import parse_record


class LocalStore:
    """A `Store` in a folder; nothing is created before the first write."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def find(self, key: str) -> ArtifactRef | None:
        """Read the manifest, if there is one."""
        manifest = self.manifest(key)
        return manifest.reference(self._artifact(key).as_uri()) if manifest else None

    def manifest(self, key: str) -> Manifest | None:
        """Read one file."""
        folder = self._artifact(key)
        with disk_errors(folder, 0):
            try:
                raw = (folder / MANIFEST_NAME).read_bytes()
            except FileNotFoundError:
                return None
        return parse_manifest(raw, key, str(folder))

    def commit(
        self,
        key: str,
        kind: str,
        folder: Path,
        parents: Sequence[str],
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
    ) -> ArtifactRef:
        """Copy the folder, unless the key has an artifact already."""
        return self.find(key) or self.adopt(
            make_manifest(key, kind, folder, parents, config, summary), folder
        )

    def adopt(self, manifest: Manifest, folder: Path) -> ArtifactRef:
        """Copy the manifest's files, verify the copies, and name them in one rename."""
        target = self._artifact(manifest.key)
        staging = self.root / place("staging", manifest.key)
        with exclusive(staging.with_suffix(".lock")), disk_errors(target, manifest.size()):
            try:
                present = self.find(manifest.key)
                if present is not None:
                    return present
                # What a killed commit left: the lock proves that nobody works on it any more.
                shutil.rmtree(staging, ignore_errors=True)
                _fill(staging, manifest, folder)
                self.quarantine(manifest.key, "a folder without a manifest")
                move_folder(staging, target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return manifest.reference(target.as_uri())

    def fetch(self, ref: ArtifactRef) -> Path:
        """Verify the artifact where it lies."""
        folder = self._artifact(ref.key)
        with disk_errors(folder, 0):
            verify_artifact(folder, ref, str(folder))
        return folder

    def quarantine(self, key: str, reason: str) -> None:
        """Rename the artifact's folder, if there is one."""
        folder, aside = self._artifact(key), self.root / place("quarantine", key)
        if not folder.exists():
            return
        note = canonical_json({"reason": reason})
        with disk_errors(aside, len(note)):
            aside.parent.mkdir(parents=True, exist_ok=True)
            number = next(n for n in itertools.count(1) if _claim(f"{aside}-{n}.json", note))
            folder.rename(f"{aside}-{number}")

    def list_artifacts(self) -> Iterator[str]:
        """Walk two levels of folders."""
        area = self.root / "artifacts"
        with disk_errors(area, 0):
            for manifest in sorted(area.glob(f"*/*/{MANIFEST_NAME}")):
                yield manifest.parent.relative_to(area).as_posix()

    def delete(self, key: str) -> None:
        """Delete file by file, the manifest last."""
        self.drop_checkpoints(key)
        folder = self._artifact(key)
        with disk_errors(folder, 0):
            shutil.rmtree(self.root / place("staging", key), ignore_errors=True)
            files = [path for path in folder.rglob("*") if not path.is_dir()]
            for path in sorted(files, key=lambda path: path == folder / MANIFEST_NAME):
                path.unlink()
            if folder.exists():
                shutil.rmtree(folder)

    def empty_quarantine(self) -> None:
        """Delete the folders and notes of each stage; shards stay, as they hold no feedback."""
        for area in (self.root / "quarantine").glob("*"):
            if area.name != "shards":
                with disk_errors(area, 0):
                    shutil.rmtree(area)

    @contextmanager
    def lease(self, key: str, on_wait: Callable[[], None] = wait_silently) -> Iterator[None]:
        """Lock a file, which the kernel frees when the holder dies."""
        with exclusive(self.root / place("leases", key), on_wait):
            yield

    def put_checkpoint(self, key: str, name: str, path: Path) -> None:
        """Copy the file to a place named after its digest, then delete the one before."""
        folder = self.root / checkpoint_place(key, name)
        with disk_errors(folder, path.stat().st_size):
            digest = sha256_file(path)
            with replacing(folder / digest) as out:
                copy_into(path, out)
            for older in folder.iterdir():
                if older.name != digest:
                    older.unlink()

    def get_checkpoint(self, key: str, name: str, path: Path) -> bool:
        """Copy the newest file of that name, verified on the way."""
        folder = self.root / checkpoint_place(key, name)
        # A kill between writing and deleting leaves two, both whole; one ending in `.part` is not.
        stored = [file for file in folder.glob("*") if not file.name.startswith(".")]
        if not stored:
            return False
        newest = max(stored, key=lambda file: file.stat().st_mtime_ns)
        with disk_errors(path, newest.stat().st_size), replacing(path) as out:
            digest = copy_into(newest, out)
            if digest != newest.name:
                raise CorruptArtifactError(wrong_digest(str(newest), digest, newest.name))
        return True

    def drop_checkpoints(self, key: str) -> None:
        """Delete the folder of the key's checkpoints."""
        folder = self.root / place("checkpoints", key)
        with disk_errors(folder, 0):
            if folder.exists():
                shutil.rmtree(folder)

    def write_record(self, key: str, record: Mapping[str, Any]) -> None:
        """Replace the record's file."""
        write_file(self._record(key), canonical_json(dict(record)))

    def read_record(self, key: str) -> dict[str, Any] | None:
        """Read the record's file, if there is one."""
        path = self._record(key)
        with disk_errors(path, 0):
            return parse_record(path.read_bytes()) if path.exists() else None

    def put_shard(self, namespace: str, data: bytes) -> str:
        """Write the file under its digest."""
        name = sha256_bytes(data)
        write_file(self.root / place("shards", namespace, name), data)
        return name

    def list_shards(self, namespace: str) -> list[str]:
        """List the folder without what killed writers left."""
        folder = self.root / place("shards", namespace)
        with disk_errors(folder, 0):
            return sorted(name for name in os.listdir(folder) if name[0] != ".") if folder.exists() else []

    def get_shard(self, namespace: str, name: str) -> Path | None:
        """Give the file where it lies."""
        path = self.root / place("shards", namespace, name)
        return path if path.exists() else None

    def quarantine_shard(self, namespace: str, name: str) -> bool:
        """Rename the file."""
        path = self.root / place("shards", namespace, name)
        aside = self.root / place("quarantine/shards", namespace, name)
        with disk_errors(aside, 0), contextlib.suppress(FileNotFoundError):
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside)
        return True

    def _artifact(self, key: str) -> Path:
        return self.root / place("artifacts", key)

    def _record(self, key: str) -> Path:
        return self.root / (place("records", key) + ".json")


def _claim(path: str, note: bytes) -> bool:
    """Write a file unless there is one."""
    with contextlib.suppress(FileExistsError), open(path, "xb") as file:
        file.write(note)
        return True
    return False


def _fill(staging: Path, manifest: Manifest, folder: Path) -> None:
    """Copy a manifest's files and the manifest into an empty folder, ready to be named."""
    for name in manifest.files:
        copy = staging / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, copy)
    verify_files(staging, manifest, str(folder))
    (staging / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    seal_folder(staging)
