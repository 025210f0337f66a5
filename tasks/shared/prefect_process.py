"""The process of a Prefect server: `prefect server start` with two guards around it.

It is run by its path (`python -P prefect_process.py --port 4200 --lock FILE [--parent PID]`), so it needs
nothing but the standard library and Prefect; `servers` imports it for that path only. It mends one fault of
Prefect's (see `_let_the_clock_start_runs`). The guards:

- One at a time until it listens. Two servers that begin on a fresh database together would both
  create its tables, and one of them would die.
- With `--parent`, it ends when that process is gone, even by SIGKILL. The kernel's own death signal (Linux)
  would come too early: it follows the thread that started the child, not the process.
"""

import argparse
import fcntl
import os
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

_LOOPBACK = "127.0.0.1"
_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 5.0


def main() -> None:
    """Serve Prefect until told to stop."""
    parser = argparse.ArgumentParser(description="Serve Prefect on loopback.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--lock", type=Path, required=True, help="held from here until the server listens")
    parser.add_argument("--parent", type=int, help="end with this process, which started us")
    arguments = parser.parse_args()
    command = ["prefect", "--no-prompt", "server", "start", "--host", _LOOPBACK]
    command += ["--port", str(arguments.port)]
    if arguments.parent is not None:
        threading.Thread(target=_end_with, args=(arguments.parent,), daemon=True).start()
        # A server of one run has no schedules to serve and no business to call other runs late.
        command += ["--no-scheduler", "--no-late-runs"]
    lock = arguments.lock.open("ab")
    fcntl.flock(lock, fcntl.LOCK_EX)
    threading.Thread(target=_release_when_listening, args=(lock, arguments.port), daemon=True).start()
    _let_the_clock_start_runs()
    sys.argv = command
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _let_the_clock_start_runs() -> None:
    """Let Prefect 3.8 plan runs with SQLAlchemy 2.1.

    Its scheduler inserts rows with keys that are no columns, such as `state`. SQLAlchemy 2.0 left them out;
    2.1 wants to be told what such a key does, or refuses: the log has an error once a minute, and no cron
    ever starts a run. They are told to do nothing.
    """
    from prefect.server.database.orm_models import FlowRun
    from sqlalchemy.ext.hybrid import hybrid_property

    for part in FlowRun.__mro__:
        for attribute in vars(part).values():
            if isinstance(attribute, hybrid_property) and attribute.bulk_dml_setter is None:
                attribute.inplace.bulk_dml(_do_nothing)


def _do_nothing(cls: object, mapping: object, value: object) -> None: ...


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _release_when_listening(lock: BinaryIO, port: int) -> None:
    listening = False
    while not listening:
        time.sleep(_LOOK_SECONDS)
        with socket.socket() as probe:
            listening = probe.connect_ex((_LOOPBACK, port)) == 0
    lock.close()


if __name__ == "__main__":
    main()
