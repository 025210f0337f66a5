"""A store in an S3 bucket: SeaweedFS, MinIO, AWS or any other that honours If-Match and If-None-Match.

Files are uploaded in place and the manifest last, if absent: the moment in which the artifact comes to be.
What is fetched stays in a folder of this machine and is verified every time.
"""

import itertools
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
    read_manifest,
    sha256_bytes,
    sha256_file,
    verify_artifact,
    verify_files,
    wrong_digest,
)
from tasks.shared.disk import (
    disk_errors,
    exclusive,
    move_folder,
    replacing,
    seal_folder,
    wait_silently,
    write_file,
)
from tasks.shared.patience import Patience
from tasks.shared.s3_bucket import Bucket
from tasks.shared.s3_lease import S3Lease
from tasks.shared.store import parse_record


class S3Store:
    """A `Store` below a prefix of a bucket that exists; nothing is sent or created before the first call."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        endpoint: str,
        cache: Path,
        lease_seconds: float = 60.0,
        patience: Patience | None = None,
    ) -> None:
        """Describe the store.

        Args:
            bucket: Its name.
            prefix: What all keys begin with, without slashes at its ends; may be empty.
            endpoint: Where the server is, such as `http://127.0.0.1:8333`.
            cache: A folder of this machine, for what is fetched and for locks.
            lease_seconds: After how long without a sign of life a holder on another machine counts as dead.
            patience: How long a server that went away is waited for; None: briefly.
        """
        self._bucket = Bucket(bucket, endpoint, patience)
        self._prefix = prefix
        self._cache = cache.absolute()
        self._lease_seconds = lease_seconds
        self._leases: dict[str, S3Lease] = {}

    def find(self, key: str) -> ArtifactRef | None:
        """Read the manifest, if there is one."""
        manifest = self.manifest(key)
        return manifest.reference(self._uri(key)) if manifest else None

    def manifest(self, key: str) -> Manifest | None:
        """Read one object."""
        stored = self._bucket.read(self._key("artifacts", key, MANIFEST_NAME))
        return parse_manifest(stored.body, key, self._uri(key)) if stored else None

    def commit(
        self,
        key: str,
        kind: str,
        folder: Path,
        parents: Sequence[str],
        config: Mapping[str, Any],
        summary: Mapping[str, Any],
    ) -> ArtifactRef:
        """Upload the folder, unless the key has an artifact already."""
        return self.find(key) or self.adopt(
            make_manifest(key, kind, folder, parents, config, summary), folder
        )

    def adopt(self, manifest: Manifest, folder: Path) -> ArtifactRef:
        """Upload the manifest's files, make sure that they did not change meanwhile, then the manifest."""
        key, raw = manifest.key, manifest.to_bytes()
        present = self.find(key)
        if present is not None:
            return present
        for name, entry in manifest.files.items():
            self._bucket.upload(self._key("artifacts", key, name), folder / name, entry.sha256)
        verify_files(folder, manifest, str(folder))
        if key in self._leases:
            self._leases[key].confirm()
        self._bucket.create(self._key("artifacts", key, MANIFEST_NAME), raw)
        return self.find(key) or manifest.reference(self._uri(key))

    def fetch(self, ref: ArtifactRef) -> Path:
        """Download what the cache does not hold intact."""
        folder = self._cache / place("artifacts", ref.key) / ref.sha256
        with exclusive(folder.with_suffix(".lock")):
            if not _is_intact(folder, ref):
                self._download(ref, folder)
        return folder

    def quarantine(self, key: str, reason: str) -> None:
        """Copy the artifact aside, then delete it, the manifest first."""
        folder = self._key("artifacts", key) + "/"
        names = [stored.removeprefix(folder) for stored in self._bucket.keys(folder)]
        if not names:
            return
        note = canonical_json({"reason": reason})
        base = self._key("quarantine", key)
        number = next(n for n in itertools.count(1) if self._bucket.create(f"{base}-{n}.json", note))
        for name in names:
            self._bucket.copy(folder + name, f"{base}-{number}/{name}")
        for name in sorted(names, key=lambda name: name != MANIFEST_NAME):
            self._bucket.delete(folder + name)

    def list_artifacts(self) -> Iterator[str]:
        """List the objects page by page; a thousand of them cost one request."""
        area = self._prefixed("artifacts/")
        for stored in self._bucket.walk(area):
            key, _, name = stored.removeprefix(area).rpartition("/")
            if name == MANIFEST_NAME and key.count("/") == 1:
                yield key

    def delete(self, key: str) -> None:
        """Delete what this machine had fetched, then object by object, the manifest last."""
        self.drop_checkpoints(key)
        for copy in (self._cache / place("artifacts", key)).glob("*/"):
            shutil.rmtree(copy)
        folder = self._key("artifacts", key) + "/"
        for stored in sorted(self._bucket.keys(folder), key=lambda name: name == folder + MANIFEST_NAME):
            self._bucket.delete(stored)

    def empty_quarantine(self) -> None:
        """Delete object by object; shards stay, as they hold no feedback."""
        area = self._prefixed("quarantine/")
        for stored in self._bucket.keys(area):
            if not stored.startswith(area + "shards/"):
                self._bucket.delete(stored)

    @contextmanager
    def lease(self, key: str, on_wait: Callable[[], None] = wait_silently) -> Iterator[None]:
        """Lock a file of this machine, then hold a lease in the bucket.

        The lock file lists the owners there were on this machine. Whoever gets the lock knows that all of
        them are gone, and need not wait for a lease of theirs to run out.
        """
        notify = _once(on_wait)
        path = self._cache / place("leases", key)
        with exclusive(path, notify) as lock:
            lease = S3Lease(self._bucket, self._key("leases", key), self._lease_seconds)
            with disk_errors(path, len(lease.owner)):
                lock.seek(0)
                gone = lock.read().decode().split()
                lock.write(f"{lease.owner}\n".encode())
                lock.flush()
            lease.acquire(gone, notify)
            self._leases[key] = lease
            try:
                yield
            finally:
                del self._leases[key]
                lease.release()

    def put_checkpoint(self, key: str, name: str, path: Path) -> None:
        """Upload the file; S3 shows it when it is complete."""
        self._bucket.upload(self._prefixed(checkpoint_place(key, name)), path, sha256_file(path))

    def get_checkpoint(self, key: str, name: str, path: Path) -> bool:
        """Download the file, verified before it gets its name."""
        stored = self._prefixed(checkpoint_place(key, name))
        put = self._bucket.look(stored)
        if put is None:
            return False
        with disk_errors(path, put.bytes), replacing(path) as out:
            self._bucket.download(stored, out)
            out.flush()
            got = sha256_file(Path(out.name))
            if got != put.sha256:
                raise CorruptArtifactError(wrong_digest(self._bucket.uri(stored), got, put.sha256))
        return True

    def drop_checkpoints(self, key: str) -> None:
        """Delete the key's checkpoints one by one."""
        for stored in self._bucket.keys(self._key("checkpoints", key) + "/"):
            self._bucket.delete(stored)

    def write_record(self, key: str, record: Mapping[str, Any]) -> None:
        """Replace the record's object."""
        self._bucket.write(self._key("records", key) + ".json", canonical_json(dict(record)))

    def read_record(self, key: str) -> dict[str, Any] | None:
        """Read the record's object, if there is one."""
        stored = self._bucket.read(self._key("records", key) + ".json")
        return None if stored is None else parse_record(stored.body)

    def put_shard(self, namespace: str, data: bytes) -> str:
        """Write the file into the cache, then upload it; S3 shows it when it is complete."""
        name = sha256_bytes(data)
        path = self._cache / place("shards", namespace, name)
        write_file(path, data)
        self._bucket.upload(self._key("shards", namespace, name), path, name)
        return name

    def list_shards(self, namespace: str) -> list[str]:
        """List the objects; a thousand of them cost one request."""
        folder = self._key("shards", namespace) + "/"
        return sorted(key.removeprefix(folder) for key in self._bucket.keys(folder))

    def get_shard(self, namespace: str, name: str) -> Path | None:
        """Give the copy in the cache; a shard is downloaded once."""
        path = self._cache / place("shards", namespace, name)
        if path.exists():
            return path
        stored = self._key("shards", namespace, name)
        put = self._bucket.look(stored)
        if put is None:
            return None
        with disk_errors(path, put.bytes), replacing(path) as out:
            self._bucket.download(stored, out)
        return path

    def quarantine_shard(self, namespace: str, name: str) -> bool:
        """Download the shard anew; if it is still damaged, copy it aside and delete it."""
        cached = self._cache / place("shards", namespace, name)
        cached.unlink(missing_ok=True)
        path = self.get_shard(namespace, name)
        if path is None or sha256_file(path) == name:
            return False
        path.unlink()
        stored = self._key("shards", namespace, name)
        self._bucket.copy(stored, self._key("quarantine/shards", namespace, name))
        self._bucket.delete(stored)
        return True

    def _download(self, ref: ArtifactRef, folder: Path) -> None:
        """Put an artifact together beside its place in the cache; give it its name when it is verified."""
        shown = self._uri(ref.key)
        stored = self._bucket.read(self._key("artifacts", ref.key, MANIFEST_NAME))
        manifest = read_manifest(stored.body if stored else None, ref, shown)
        staging = folder.with_suffix(".part")
        with disk_errors(folder, manifest.size()):
            try:
                shutil.rmtree(staging, ignore_errors=True)
                for name in manifest.files:
                    self._download_file(self._key("artifacts", ref.key, name), staging / name)
                verify_files(staging, manifest, shown)
                (staging / MANIFEST_NAME).write_bytes(manifest.to_bytes())
                seal_folder(staging)
                shutil.rmtree(folder, ignore_errors=True)
                move_folder(staging, folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _download_file(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            found = self._bucket.download(key, out)
        if not found:
            path.unlink()

    def _prefixed(self, path: str) -> str:
        return f"{self._prefix}/{path}" if self._prefix else path

    def _key(self, area: str, key: str, *names: str) -> str:
        return self._prefixed(place(area, key, *names))

    def _uri(self, key: str) -> str:
        return self._bucket.uri(self._key("artifacts", key))


def _is_intact(folder: Path, ref: ArtifactRef) -> bool:
    try:
        verify_artifact(folder, ref, str(folder))
    except CorruptArtifactError:
        return False
    return True


def _once(function: Callable[[], None]) -> Callable[[], None]:
    """Make a function that does something the first time only."""
    calls = iter([function])
    return lambda: next(calls, wait_silently)()
