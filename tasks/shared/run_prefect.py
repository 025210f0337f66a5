"""The Prefect server of a single run: it shares the database with `retort up` and ends with the run."""

import os
from collections.abc import Mapping
from pathlib import Path

from tasks.shared.launching import launch_server, wait_ready
from tasks.shared.processes import pick_ports, stop
from tasks.shared.servers import PREFECT, prefect_api, prefect_launch, probe_prefect
from tasks.shared.service_files import ServerRecord

_NAME = "run-prefect"
_STOP_SECONDS = 10.0


class RunPrefect:
    """A Prefect server that ends with the process that started it, however that ends."""

    def __init__(self, record: ServerRecord) -> None:
        self._record = record

    @property
    def api_url(self) -> str:
        """What Prefect's clients want as `PREFECT_API_URL`; nothing answers there before `wait_ready`."""
        return prefect_api(self._record.port)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._record.process.pid

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Wait until the server and its database answer.

        Args:
            timeout: How long to wait at most, in seconds.

        Raises:
            ServiceError: It died or was not ready in time; the message has the end of its log.
        """
        wait_ready({_NAME: self._record}, {_NAME: probe_prefect}, lambda _name, _message: None, timeout)

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        stop([self._record.process], _STOP_SECONDS)


def start_prefect(home: Path, env: Mapping[str, str]) -> RunPrefect:
    """Start a Prefect server for this process on any free port, without waiting for it.

    Args:
        home: The folder of all state; its Prefect database is used, and made if missing.
        env: The server's whole environment, as `env.server_environment` gives it.
    """
    home = home.absolute()
    port = pick_ports({PREFECT: 0})[PREFECT]
    launch = prefect_launch(home, port, env, parent=os.getpid())
    return RunPrefect(launch_server(launch, home, _NAME, port))
