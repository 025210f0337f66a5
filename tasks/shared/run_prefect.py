"""The Prefect server of a single run: it shares the database with `retort up` and ends with the run."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.shared.launching import launch_server, wait_ready
from tasks.shared.processes import pick_ports, stop
from tasks.shared.servers import PREFECT, prefect_api, prefect_launch, prefect_probe
from tasks.shared.service_files import ServerRecord, prefect_login

_NAME = "run-prefect"
_STOP_SECONDS = 10.0
# Between two looks at the server; after each that had to start it again, twice as long.
_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 1.0, 60.0


class RunPrefect:
    """A Prefect server that ends with the process that started it, however that ends.

    One that dies before is started again at its port: Prefect's clients wait for it (`env.laptop_settings`).
    """

    def __init__(self, launch: Callable[[], ServerRecord], login: str) -> None:
        """Start the server; `launch` does so, now and again."""
        self._launch, self._login = launch, login
        self._record = launch()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=_NAME, daemon=True)

    @property
    def api_url(self) -> str:
        """What Prefect's clients want as `PREFECT_API_URL`; nothing answers there before `wait_ready`."""
        return prefect_api(self._record.port)

    @property
    def client_settings(self) -> dict[str, str]:
        """The variables by which Prefect in this process finds it; they hold its login."""
        return {"PREFECT_API_URL": self.api_url, "PREFECT_API_AUTH_STRING": self._login}

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
        probes = {_NAME: prefect_probe(self._login)}
        wait_ready({_NAME: self._record}, probes, lambda _name, _message: None, timeout)
        self._keeper.start()

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        self._over.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        stop([self._record.process], _STOP_SECONDS)

    def _keep(self) -> None:
        pause = _LOOK_SECONDS
        while not self._over.wait(pause):
            if not self._record.process.is_alive():
                self._record = self._launch()
                pause = min(2 * pause, _LONGEST_LOOK_SECONDS)


def start_prefect(home: Path, env: Mapping[str, str]) -> RunPrefect:
    """Start a Prefect server for this process on any free port, without waiting for it.

    Args:
        home: The folder of all state; its Prefect database is used, and made if missing.
        env: The server's whole environment, as `env.server_environment` gives it.
    """
    home = home.absolute()
    port = pick_ports({PREFECT: 0})[PREFECT]
    login = prefect_login(home)
    launch = prefect_launch(home, port, env, login, parent=os.getpid())
    return RunPrefect(lambda: launch_server(launch, home, _NAME, port), login)
