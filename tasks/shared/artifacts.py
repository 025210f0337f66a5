"""What an artifact is: a folder of files, a manifest with every file's digest, and the reference to it.

The manifest says nothing of time, host or run, so an artifact that is built again gets the same digest.
Where artifacts are kept is the affair of `store`.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from configs.errors import Problem
from tasks.shared.errors import StageError, StoreError

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"

_KEY_FORM = re.compile(r"[a-z][a-z0-9_]*/[0-9a-f]{64}")
_NAME_FORM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class CorruptArtifactError(StoreError):
    """Raised when a stored file is missing or is not the one that was stored; quarantine it, run again."""


def _is_file_name(name: str) -> bool:
    """Whether a name stays inside the folder that it is joined to, on any disk and in any bucket."""
    parts = PurePosixPath(name).parts
    inside = bool(parts) and ".." not in parts and not name.startswith("/")
    return inside and "/".join(parts) == name and "\\" not in name and name.isprintable()


def _checked_file_name(name: str) -> str:
    if not _is_file_name(name):
        raise ValueError("not a relative path of plain names")
    return name


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, AfterValidator(_checked_file_name)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Frozen):
    """One file of an artifact: its sha256 in hexadecimal and its length in bytes."""

    sha256: Digest
    bytes: int = Field(ge=0)

    def __str__(self) -> str:
        return f"{self.bytes} bytes, sha256 {self.sha256}"


class ArtifactRef(_Frozen):
    """All that passes between stages: which artifact, where it is, and the digest of its manifest."""

    kind: str
    key: str
    uri: str
    sha256: Digest
    schema_version: int
    parents: tuple[Digest, ...]
    summary: dict[str, Any]


class Manifest(_Frozen):
    """What an artifact holds, what it was made from (sha256 of its parents' manifests) and with what."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    key: str
    files: dict[FileName, FileEntry]
    parents: tuple[Digest, ...]
    config: dict[str, Any]
    summary: dict[str, Any]

    def to_bytes(self) -> bytes:
        """Give the one spelling of this manifest, whose sha256 is the artifact's digest."""
        return canonical_json(self.model_dump())

    def size(self) -> int:
        """Give the bytes that the files and the manifest take in a store."""
        return sum(entry.bytes for entry in self.files.values()) + len(self.to_bytes())

    def reference(self, uri: str) -> ArtifactRef:
        """Give the reference to this artifact where it is kept."""
        return ArtifactRef(
            kind=self.kind,
            key=self.key,
            uri=uri,
            sha256=sha256_bytes(self.to_bytes()),
            schema_version=self.schema_version,
            parents=self.parents,
            summary=self.summary,
        )


def place(area: str, key: str, *names: str) -> str:
    """Give the path of something below a store's root; the same in every store.

    Args:
        area: `artifacts`, `checkpoints`, `leases`, `records` or `quarantine`.
        key: A stage's name, a slash and 64 hexadecimal digits.
        names: What is wanted below the key.

    Raises:
        StoreError: The key or a name could lead out of its folder.
    """
    if not _KEY_FORM.fullmatch(key):
        raise StoreError(
            Problem("key", repr(key), "a stage, a slash and 64 hexadecimal digits", "Use a cache key.")
        )
    for name in names:
        if not _is_file_name(name):
            raise StoreError(Problem("name", repr(name), "a relative path of plain names", "Rename it."))
    return "/".join((area, key, *names))


def checkpoint_place(key: str, name: str) -> str:
    """Give the path of a checkpoint, whose name is one plain word such as `step.safetensors`."""
    if not _NAME_FORM.fullmatch(name):
        raise StoreError(
            Problem("checkpoint", repr(name), "letters, digits, dots and dashes, no folder", "Rename it.")
        )
    return place("checkpoints", key, name)


def sha256_bytes(data: bytes) -> str:
    """Give the sha256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Give the sha256 of a file in hexadecimal, however large it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: object, name: str = "value") -> bytes:
    """Give the one JSON spelling of a value: sorted keys, no spaces, ASCII; an error calls it by its name.

    Raises:
        StageError: It holds what JSON cannot say (NaN, a tensor, keys that are not text); all are named.
    """
    problems = list(_not_json(value, name))
    if problems:
        raise StageError(problems)
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def _not_json(value: object, where: str) -> Iterator[Problem]:
    """Find what JSON would refuse or, worse, spell as something else."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield Problem(where, f"the key {key!r}", "keys that are text", "Convert the key with str().")
            yield from _not_json(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{where}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield Problem(where, str(value), "a finite number", "Leave it out, or mend what computed it.")
    elif not (value is None or isinstance(value, str | int)):
        yield Problem(where, type(value).__name__, "a JSON value", "Convert it to a plain Python value.")


def describe_folder(folder: Path) -> dict[str, FileEntry]:
    """Digest every file below a folder, at any depth; empty sub-folders do not count.

    Raises:
        StoreError: There is no file, or something that a store cannot keep; all are named.
    """
    files: dict[str, FileEntry] = {}
    problems = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST_NAME:
            problems.append(Problem(str(path), "a manifest", "that name to be free", "Use `copy_artifact`."))
        elif path.is_symlink() or not (path.is_file() or path.is_dir()) or not _is_file_name(name):
            problems.append(
                Problem(str(path), "a link, device or odd name", "plain files", "Copy the file itself.")
            )
        elif path.is_file():
            files[name] = FileEntry(sha256=sha256_file(path), bytes=path.stat().st_size)
    if not files and not problems:
        problems.append(Problem(str(folder), "no file", "at least one", "Write the stage's files there."))
    if problems:
        raise StoreError(problems)
    return files


def make_manifest(
    key: str,
    kind: str,
    folder: Path,
    parents: Sequence[str],
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> Manifest:
    """Describe a finished folder; see `Manifest` for the parts."""
    return Manifest(
        kind=kind,
        key=key,
        files=describe_folder(folder),
        parents=tuple(parents),
        config=json.loads(canonical_json(dict(config), "config")),
        # In the order in which it will be read back: who shows it shows the same, new or found.
        summary=json.loads(canonical_json(dict(summary), "summary")),
    )


def parse_manifest(raw: bytes, key: str, shown: str) -> Manifest:
    """Read a manifest that was stored under a key; `shown` is the place that errors name.

    Raises:
        CorruptArtifactError: The bytes are no manifest, or another key's.
        StoreError: Another version of Retort wrote it.
    """
    what = f"{shown}/{MANIFEST_NAME}"
    try:
        document = json.loads(raw)
        if isinstance(document, dict) and document.get("schema_version") not in (None, SCHEMA_VERSION):
            got = f"schema version {document['schema_version']}"
            raise StoreError(
                Problem(what, got, str(SCHEMA_VERSION), "Read it with the Retort that wrote it.")
            )
        manifest = Manifest.model_validate(document)
    except (ValueError, ValidationError) as error:
        raise CorruptArtifactError(
            Problem(what, "no readable manifest", "the manifest as stored", rebuild(key))
        ) from error
    if manifest.key != key:
        raise CorruptArtifactError(Problem(what, f"the key {manifest.key}", key, rebuild(key)))
    return manifest


def rebuild(key: str) -> str:
    """Give the remedy for a damaged artifact."""
    return f"Quarantine `{key}` and run again: the stage is then computed anew."


def wrong_digest(shown: str, got: str, expected: str) -> Problem:
    """Tell that a checkpoint is not the file that was put."""
    return Problem(shown, f"sha256 {got}", f"sha256 {expected}", "Delete it; the stage then starts afresh.")


def read_manifest(raw: bytes | None, ref: ArtifactRef, shown: str) -> Manifest:
    """Read the very manifest that a reference means; raises CorruptArtifactError if it is not that one."""
    got = "no file" if raw is None else f"sha256 {sha256_bytes(raw)}"
    if raw is None or sha256_bytes(raw) != ref.sha256:
        what = f"{shown}/{MANIFEST_NAME}"
        raise CorruptArtifactError(Problem(what, got, f"sha256 {ref.sha256}", rebuild(ref.key)))
    return parse_manifest(raw, ref.key, shown)


def verify_files(folder: Path, manifest: Manifest, shown: str) -> None:
    """Check that a folder holds exactly a manifest's files, byte for byte.

    Raises:
        CorruptArtifactError: Files are missing, changed or too many; all are named.
    """
    problems = []
    for name, entry in manifest.files.items():
        got = _entry_at(folder / name)
        if got != entry:
            problems.append(
                Problem(f"{shown}/{name}", str(got or "no file"), str(entry), rebuild(manifest.key))
            )
    known = {*manifest.files, MANIFEST_NAME}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    for name in sorted(found - known):
        problems.append(
            Problem(f"{shown}/{name}", "a file", "none of that name in the artifact", "Delete it.")
        )
    if problems:
        raise CorruptArtifactError(problems)


def _entry_at(path: Path) -> FileEntry | None:
    if not path.is_file() or path.is_symlink():
        return None
    return FileEntry(sha256=sha256_file(path), bytes=path.stat().st_size)


def verify_artifact(folder: Path, ref: ArtifactRef, shown: str) -> Manifest:
    """Check a folder against a reference: the manifest's digest, then every file's."""
    path = folder / MANIFEST_NAME
    manifest = read_manifest(path.read_bytes() if path.is_file() else None, ref, shown)
    verify_files(folder, manifest, shown)
    return manifest
