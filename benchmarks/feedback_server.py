"""`retort feedback serve` in a process of its own, for measurements."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import BenchmarkError

ROOT = Path(__file__).parents[1]
START_SECONDS = 120
END_SECONDS = 60
UNLIMITED = 10**9  # requests a minute: what is measured is the store, not the limit


@contextlib.contextmanager
def page(url: str, folder: Path) -> Iterator[int]:
    """Serve a feedback store; gives the port. The server must end well when told to."""
    port = free_port()
    server = start_page(url, port, folder)
    try:
        yield port
        end_page(server)
    finally:
        server.kill()
        server.wait()


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start_page(url: str, port: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start the server; returns when it answers."""
    command = [sys.executable, "-m", "flows.cli", "feedback", "serve"]
    command += ["--port", str(port), "--rate", str(UNLIMITED)]
    environment = {**os.environ, "RETORT_HOME": str(folder / "home"), "RETORT_FEEDBACK_URL": url}
    log = folder / "server.log"
    with log.open("ab") as output:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            server.wait()
            raise BenchmarkError("server", log.read_text()[-1000:], "one that answers", "Start it alone.")
        time.sleep(0.02)
    return server


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(0.2)
        return connection.connect_ex(("127.0.0.1", port)) == 0


def end_page(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, and see that it does."""
    server.send_signal(signal.SIGTERM)
    code = server.wait(END_SECONDS)
    if code:
        raise BenchmarkError("server", f"exit code {code} after SIGTERM", "0", "Look at its log.")
