"""The stores under test, each with a way to open it elsewhere and to damage it behind its back."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tasks.shared.local_store import LocalStore
from tasks.shared.s3_bucket import Bucket
from tasks.shared.s3_store import S3Store
from tasks.shared.store import Store

if TYPE_CHECKING:
    from tests.conftest import S3Server

ROOT = Path(__file__).parents[2]
_PREAMBLE = """
import os, sys, time
from pathlib import Path
from tasks.shared.errors import StoreError
from tasks.shared.local_store import LocalStore
from tasks.shared.s3_store import S3Store
KEY = "distill/" + "a" * 64
"""


class Backend(Protocol):
    """One store, seen from outside; `lease_seconds` is how long a dead holder on another machine counts."""

    @property
    def lease_seconds(self) -> float: ...

    def expression(self, machine: str = "here") -> str:
        """Give Python that opens the store, on a machine of that name."""
        ...

    def open(self, machine: str = "here") -> Store:
        """Open the store, on a machine of that name."""
        ...

    def places(self, area: str) -> set[str]:
        """List what is stored in an area, locks and notes included."""
        ...

    def overwrite(self, place: str, data: bytes) -> None:
        """Put other bytes in a place."""
        ...

    def remove(self, place: str) -> None:
        """Delete what is in a place."""
        ...


@dataclass(frozen=True)
class LocalBackend:
    """A folder; another machine that shares it is no different."""

    root: Path
    lease_seconds: float = 0.1

    def expression(self, machine: str = "here") -> str:
        return f"LocalStore(Path({str(self.root)!r}))"

    def open(self, machine: str = "here") -> Store:
        return LocalStore(self.root)

    def places(self, area: str) -> set[str]:
        files = (path for path in (self.root / area).rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix() for path in files}

    def overwrite(self, place: str, data: bytes) -> None:
        (self.root / place).chmod(0o644)
        (self.root / place).write_bytes(data)

    def remove(self, place: str) -> None:
        (self.root / place).unlink()


@dataclass(frozen=True)
class S3Backend:
    """A prefix of its own in the session's bucket; a machine is a cache folder."""

    bucket: str
    endpoint: str
    prefix: str
    caches: Path
    lease_seconds: float = 2.0

    def expression(self, machine: str = "here") -> str:
        cache = str(self.caches / machine)
        where = f"{self.bucket!r}, {self.prefix!r}, {self.endpoint!r}"
        return f"S3Store({where}, Path({cache!r}), {self.lease_seconds})"

    def open(self, machine: str = "here") -> Store:
        return S3Store(self.bucket, self.prefix, self.endpoint, self.caches / machine, self.lease_seconds)

    def places(self, area: str) -> set[str]:
        keys = self._objects().keys(f"{self.prefix}/{area}/")
        return {key.removeprefix(f"{self.prefix}/") for key in keys}

    def overwrite(self, place: str, data: bytes) -> None:
        stored = self._objects().look(f"{self.prefix}/{place}")
        assert stored is not None
        source = self.caches / "overwrite"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(data)
        self._objects().upload(f"{self.prefix}/{place}", source, stored.sha256)

    def remove(self, place: str) -> None:
        self._objects().delete(f"{self.prefix}/{place}")

    def _objects(self) -> Bucket:
        return Bucket(self.bucket, self.endpoint)


@pytest.fixture
def local_backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "store")


@pytest.fixture
def s3_backend(s3_server: "S3Server", tmp_path: Path) -> S3Backend:
    return S3Backend(s3_server.bucket, s3_server.endpoint, uuid.uuid4().hex, tmp_path / "caches")


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.service)])
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.getfixturevalue(f"{request.param}_backend")
    return chosen


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python code, after a preamble, in a process that is gone when the test ends."""
    processes = []

    def run(code: str, *before: str) -> subprocess.Popen[str]:
        command = [*before, sys.executable, "-c", _PREAMBLE + code]
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
