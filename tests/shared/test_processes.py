"""Starting, recognising and stopping processes, and finding ports, with real processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.shared import processes
from tasks.shared.errors import ServiceError
from tasks.shared.processes import Process, accepts, birth, holds_port, pick_ports, spawn, stop

Start = Callable[[str], Process]

IDLE = "import time; time.sleep(60)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {IDLE}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a piece of Python as a server would be; whatever is left is killed."""
    started: list[Process] = []

    def start_python(code: str) -> Process:
        environment = {"PATH": "/usr/bin:/bin"}
        process = spawn([sys.executable, "-c", code], environment, tmp_path / "folder", tmp_path / "log")
        started.append(process)
        return process

    yield start_python
    for process in started:
        process.signal(signal.SIGKILL)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_process_is_alive_until_it_is_stopped(start: Start) -> None:
    process = start(IDLE)
    assert process.is_alive()
    assert stop([process], patience=10) == []
    assert not process.is_alive()


def test_one_that_ignores_the_request_is_killed(start: Start, tmp_path: Path) -> None:
    deaf, docile = start(DEAF), start(IDLE)
    _wait_for(lambda: "deaf" in (tmp_path / "log").read_text())
    assert stop([deaf, docile], patience=0.3) == [deaf]
    assert not deaf.is_alive()
    assert not docile.is_alive()


def test_a_dead_child_that_nobody_has_waited_for_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        zombie = Path(f"/proc/{child.pid}/stat")
        if not zombie.exists():
            pytest.skip("needs /proc")
        _wait_for(lambda: " Z " in zombie.read_text())
        assert birth(child.pid) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_whose_first_thread_is_dead_is_alive(start: Start) -> None:
    """So looks a killed SeaweedFS for some milliseconds, in which it still holds its ports."""
    process = start(
        f"import ctypes, threading; threading.Thread(target=lambda: exec({IDLE!r})).start(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    _wait_for(lambda: ") Z " in Path(f"/proc/{process.pid}/stat").read_text())
    assert process.is_alive()
    stop([process], patience=10)
    assert not process.is_alive()


def test_a_stranger_with_the_number_of_a_dead_process_is_left_alone(start: Start) -> None:
    """Numbers are used again: after a reboot, `retort down` must not kill who has the old number now."""
    stranger = start(IDLE)
    recorded = Process(pid=stranger.pid, birth="an earlier one")
    assert not recorded.is_alive()
    assert stop([recorded], patience=5) == []
    recorded.signal(signal.SIGKILL)
    time.sleep(0.2)
    assert stranger.is_alive()


def test_stop_reaches_the_children_of_a_server(start: Start, tmp_path: Path) -> None:
    child_code = f"subprocess.Popen([sys.executable, '-c', {IDLE!r}])"
    parent = start(f"import subprocess, sys; print({child_code}.pid, flush=True); {IDLE}")
    _wait_for(lambda: (tmp_path / "log").read_text().endswith("\n"))
    child = int((tmp_path / "log").read_text())
    assert birth(child) is not None
    stop([parent], patience=10)
    _wait_for(lambda: birth(child) is None)


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_systems_without_proc_ask_ps(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    process = start(IDLE)
    assert len(process.birth.split()) == 5  # Sat Nov 21 14:06:12 2026
    assert process.is_alive()
    stop([process], patience=10)
    assert not process.is_alive()


def test_the_session_is_its_own_and_the_log_is_private(start: Start, tmp_path: Path) -> None:
    process = start(f"open('made', 'w').close(); print('hello', flush=True); {IDLE}")
    _wait_for(lambda: (tmp_path / "log").read_text() == "hello\n")
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder" / "made").stat().st_mode & 0o777 == 0o600


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="`/no/such/weed`"):
        spawn(["/no/such/weed"], {}, tmp_path, tmp_path / "log")


def test_ports_are_the_preferred_ones_unless_taken() -> None:
    with socket.socket() as holder, socket.socket() as other:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        other.bind(("127.0.0.1", 0))
        taken, free = holder.getsockname()[1], other.getsockname()[1]
        other.close()
        ports = pick_ports({"first": taken, "second": free, "third": free, "any": 0})
    assert ports["second"] == free
    assert len({taken, *ports.values()}) == 5


def test_a_port_whose_twin_is_taken_is_not_chosen() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        twin = holder.getsockname()[1]
        assert pick_ports({"s3": twin - 7}, twin=7)["s3"] != twin - 7
        assert pick_ports({"s3": twin - 7}, twin=8)["s3"] == twin - 7


def test_only_the_one_who_listens_holds_a_port(start: Start, tmp_path: Path) -> None:
    """Two starts can choose one free port; the slower must not take the faster's server for its own."""
    listener = start(
        "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
        f"print(s.getsockname()[1], flush=True); {IDLE}"
    )
    _wait_for(lambda: (tmp_path / "log").read_text().endswith("\n"))
    port = int((tmp_path / "log").read_text())
    assert accepts(port)
    assert holds_port(listener, port)
    assert not holds_port(start(IDLE), port)
