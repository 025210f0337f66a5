"""What tests of several folders share: a real S3 server, started when a test first asks, and examinations."""

import contextlib
import secrets
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tasks.shared.errors import StoreError
from tasks.shared.s3_bucket import Bucket

_ADMIN_TWIN = 10_000


@dataclass(frozen=True)
class S3Server:
    """A SeaweedFS with one bucket; its credentials are in the environment."""

    endpoint: str
    bucket: str
    pid: int


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _free_admin_port() -> int:
    # The server's own worker looks for the admin's gRPC at this distance, whatever -admin.port.grpc says.
    for port in range(20_000, 30_000, 7):
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", port))
            second.bind(("127.0.0.1", port + _ADMIN_TWIN))
            return port
    raise RuntimeError("no free pair of ports")


def _weed_command(folder: Path, bucket: str, s3_port: int) -> list[str]:
    admin = _free_admin_port()
    names = ("master.port", "volume.port", "filer.port")
    ports = _free_ports(2 * len(names) + 1)
    command = [str(Path(sysconfig.get_path("scripts")) / "weed"), "mini", f"-dir={folder}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={bucket}", "-s3.autoCreateBucket=false"]
    command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-admin.port={admin}", f"-admin.port.grpc={admin + _ADMIN_TWIN}", "-master.telemetry=false"]
    command += [f"-s3.port={s3_port}", f"-s3.port.grpc={ports.pop()}"]
    for name in names:
        command += [f"-{name}={ports.pop()}", f"-{name}.grpc={ports.pop()}"]
    return [*command, f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"]


def _wait_until_ready(process: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    bucket = Bucket(server.bucket, server.endpoint)
    deadline = time.monotonic() + 40
    while True:
        try:
            bucket.write("ready", b"")
            return
        except StoreError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"weed did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start SeaweedFS on free loopback ports with credentials of its own."""
    folder = tmp_path_factory.mktemp("weed")
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "GOMEMLIMIT": "400MiB"}
    log = folder / "weed.log"
    [port] = _free_ports(1)
    with pytest.MonkeyPatch.context() as patch, log.open("wb") as output:
        for name, value in (("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)):
            patch.setenv(name, value)
            environment[name] = value
        process = subprocess.Popen(
            _weed_command(folder, "retort", port), env=environment, cwd=folder, stdout=output, stderr=output
        )
        server = S3Server(f"http://127.0.0.1:{port}", "retort", process.pid)
        try:
            _wait_until_ready(process, server, log)
            yield server
        finally:
            # Its data is thrown away, so there is nothing to wait for: a gentle stop takes up to 30 s.
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def build_examined() -> Callable[..., Any]:
    """Make an examination: one question of each of three families a context, all right, safe and of 10 words.

    `change` says what differs, by context and family; `nats` are those a byte of 30 general answers.
    """
    import numpy as np

    from tasks.ml.examined import Examined, ExaminedAnswer

    def build(
        change: Callable[[int, str], dict[str, Any]] = lambda context, task: {},
        contexts: int = 40,
        nats: float | None = None,
    ) -> Examined:
        answers = []
        for context in range(contexts):
            for task in ("lookup", "suitability", "comparison"):
                answer = ExaminedAnswer(
                    id=f"{task}-{context}",
                    task=task,
                    context=f"sheet {context}",
                    question=f"{task} {context}?",
                    medical=task == "suitability",
                    answer="an answer",
                    correct=True,
                    utility=2.0,
                    safe=True,
                    words=10,
                    stopped=True,
                    failed=False,
                )
                answers.append(answer.model_copy(update=change(context, task)))
        sizes = np.array([100.0, 50.0] * 15) if nats is not None else np.array([])
        return Examined(tuple(answers), sizes * (nats or 0.0), sizes)

    return build
