"""A PostgreSQL of its own for a measurement or a test: on a free loopback port, gone afterwards.

root may not run one, so it runs as the user `postgres` there, which Debian's package makes.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.harness import BenchmarkError

PLACES = Path("/usr/lib/postgresql")  # Debian keeps the servers of all versions here, off the path
START_SECONDS = 30
STOP_SECONDS = 30


class NoPostgreSQLError(BenchmarkError):
    """There is none on this machine, or it does not start."""

    def __init__(self, got: str) -> None:
        super().__init__(
            "postgresql", got, "a server that runs", "Install PostgreSQL (`initdb`, `postgres`)."
        )


@contextmanager
def postgresql(below: Path | None = None) -> Iterator[str]:
    """Start a server with an empty database; gives its URL, which holds a password of its own.

    Args:
        below: Where its files are; None: where temporary files are.

    Raises:
        NoPostgreSQLError: There is none, or it does not start.
    """
    initdb, server = _program("initdb"), _program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="retort-postgresql-", dir=below))
    try:
        password = secrets.token_hex(16)
        secret = folder / "password"
        secret.write_text(password)
        user = _user(folder, secret)
        command = [initdb, "-D", "data", "-U", "retort", "-A", "scram-sha-256", "--pwfile=password"]
        _run([*command, "-E", "UTF8", "--locale=C", "--no-sync"], folder, user)
        port = _free_port()
        url = f"postgresql://retort:{password}@127.0.0.1:{port}/postgres"
        with _serving(
            [server, "-D", "data", "-h", "127.0.0.1", "-p", str(port), "-k", ""], folder, user, url
        ):
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(url: str) -> str:
    """Make one more database on a server; gives its URL."""
    name = f"retort_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{url.rpartition('/')[0]}/{name}"


def _program(name: str) -> str:
    found = shutil.which(name) or next(map(str, sorted(PLACES.glob(f"*/bin/{name}"), reverse=True)), None)
    if found is None:
        raise NoPostgreSQLError(f"no program `{name}`")
    return found


def _user(*paths: Path) -> str | None:
    """Whom the server runs as, who then owns the paths; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise NoPostgreSQLError("root, who may not run it, and no user `postgres`") from None
    for path in paths:
        os.chown(path, entry.pw_uid, entry.pw_gid)
    return entry.pw_name


def _run(command: list[str], folder: Path, user: str | None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        user=user,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoPostgreSQLError(f"from `{command[0]}`: {done.stderr.strip()[-500:]}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def _serving(command: list[str], folder: Path, user: str | None, url: str) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, user=user, env={"PATH": "/usr/bin:/bin"}, stdout=log, stderr=log
        )
    try:
        _wait_until_ready(process, url, folder / "log")
        yield
    finally:
        # What PostgreSQL calls an immediate shutdown: nobody wants its files any more.
        process.send_signal(signal.SIGQUIT)
        process.wait(STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoPostgreSQLError(f"log:\n{log.read_text()[-1000:]}") from None
            time.sleep(0.05)
