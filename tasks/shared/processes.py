"""Processes that outlive the command that starts them: start, recognise, find ports for, and stop them.

It knows nothing of what the processes serve.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict

from configs.errors import Problem
from tasks.shared.disk import disk_errors
from tasks.shared.errors import ServiceError

LOOPBACK = "127.0.0.1"

_PROC = Path("/proc")
_POLL_SECONDS = 0.05
_KILL_SECONDS = 5.0
# Below the range from which the system gives ports to clients.
_OTHER_PORTS = range(20000, 30000)

# What no living process has as its `birth`.
_BORN_DEAD = ""

# Kept so that a dead child can be reaped, and that the interpreter does not warn of the living ones.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Process(BaseModel):
    """A process and when it was born: numbers are used again, the pair is not.

    Attributes:
        pid: Its number, and that of its process group.
        birth: Its `birth` when it was started.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    birth: str

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return birth(self.pid) == self.birth

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its group, if it is still the one that we started."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def birth(pid: int) -> str | None:
    """Give what tells this process from any other that has the same number at another time.

    Returns:
        None if no such process runs; one that is dead but not yet reaped does not run.
    """
    if pid in _children:
        _children[pid].poll()
    return _birth_on_linux(pid) if (_PROC / "self" / "stat").exists() else _birth_elsewhere(pid)


def _birth_on_linux(pid: int) -> str | None:
    try:
        line = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name, which may hold blanks and brackets: count from its end.
    fields = line.rpartition(")")[2].split()
    state, threads, ticks_after_boot = fields[0], int(fields[17]), fields[19]
    # The first thread of a killed program can be dead while others still hold its ports.
    if state in "ZX" and threads <= 1:
        return None
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {ticks_after_boot}"


def _birth_elsewhere(pid: int) -> str | None:
    found = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = found.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def spawn(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Process:
    """Start a program in a session of its own, so that neither Ctrl-C nor the end of the shell reaches it.

    Args:
        command: The program and its arguments, which everybody on the machine can read: no secrets.
        environment: All its variables.
        folder: Where it runs; made if missing.
        log: Where its output is appended; only its owner can read it, as any file that the program makes.

    Raises:
        ServiceError: The program is not there or cannot be run.
    """
    with disk_errors(log, 0):
        for place in (folder, log.parent):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(output, "ab") as out:
        child = _start(command, environment, folder, out)
    _children[child.pid] = child
    return Process(pid=child.pid, birth=birth(child.pid) or _BORN_DEAD)


def _start(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, out: BinaryIO
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    except OSError as error:
        raise ServiceError(
            Problem(command[0], str(error), "a program that runs", "Install Retort's dependencies again.")
        ) from error


def stop(processes: Sequence[Process], patience: float) -> list[Process]:
    """End processes and their groups: first asked, then killed.

    Args:
        processes: Those to end; the dead ones among them are left alone, whoever has their number now.
        patience: Seconds that they are given, all together, to end by themselves.

    Returns:
        Those that had to be killed.
    """
    for process in processes:
        process.signal(signal.SIGTERM)
    stubborn = _wait_for_end(processes, patience)
    for process in stubborn:
        process.signal(signal.SIGKILL)
    _wait_for_end(stubborn, _KILL_SECONDS)
    return stubborn


def _wait_for_end(processes: Sequence[Process], seconds: float) -> list[Process]:
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if process.is_alive()]) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return alive


def pick_ports(preferred: Mapping[str, int], twin: int = 0) -> dict[str, int]:
    """Choose a free loopback port for each name: the preferred one, or any other.

    Args:
        preferred: The port that each name would like; 0 for any.
        twin: If given, the port that is this much higher must be free too.

    Raises:
        ServiceError: No port is free.
    """
    ports: dict[str, int] = {}
    for name, wish in preferred.items():
        candidates = [wish, *random.sample(_OTHER_PORTS, 200)] if wish else random.sample(_OTHER_PORTS, 200)
        free = (port for port in candidates if port not in ports.values() and _is_free(port, port + twin))
        port = next(free, None)
        if port is None:
            raise ServiceError(
                Problem(name, "200 taken ports of 200", "a free port on loopback", "Stop what holds them.")
            )
        ports[name] = port
    return ports


def _is_free(*ports: int) -> bool:
    for port in set(ports):
        with socket.socket() as probe:
            # As servers do, or a port stays taken for a minute after its last server ended.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True


def holds_port(process: Process, port: int) -> bool:
    """Whether the process itself listens on a loopback port, and not a stranger that was faster.

    Where the system has no `/proc` it cannot be told, and any listener will do.
    """
    table = _PROC / "net" / "tcp"
    if not table.exists():
        return accepts(port)
    # Columns: 1 is the local address and port in hexadecimal, 3 the state (0A: listening), 9 the socket.
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}
    return bool(sockets & _open_files(process.pid))


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            # It may be closed while we look.
            with suppress(FileNotFoundError):
                found.add(os.readlink(descriptor))
    return found


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as connection:
        connection.settimeout(0.2)
        return connection.connect_ex((LOOPBACK, port)) == 0
