"""The line to MLflow: one client for one store; what fails there becomes a ServiceError.

The store is an SQLite file of this machine (`sqlite:///...`) or a server (`http://...`). MLflow itself is
imported at the first call, because that takes seconds.
"""

import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import Problem
from tasks.shared.env import export
from tasks.shared.errors import ServiceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE_SECONDS = 5.0

_SQLITE = "sqlite:///"
# Models must come without pickle, logs stay short, and a lost server must not hold a stage for minutes:
# three repeats take 12 s, in which a server that is started anew comes back.
SETTINGS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# What MLflow calls a failure that is not the caller's: no answer, a broken database.
_NOT_OUR_FAULT = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE")


class RecordRefusedError(ServiceError):
    """Raised when MLflow answers, but does not take a record; to send it again is of no use."""


class MLflowLine:
    """Gives the client of one tracking URI.

    Attributes:
        uri: The tracking URI.
        is_server: Whether it is a server's.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.is_server = not uri.startswith(_SQLITE)

    @cached_property
    def client(self) -> "MlflowClient":
        """The client; the first use imports MLflow and makes or updates an SQLite file."""
        export(SETTINGS)
        if not self.is_server:
            Path(self.uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # It writes a traceback of what it raises, too, and what is raised is told in one line.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        return mlflow.MlflowClient(self.uri, self.uri)

    def probe(self) -> None:
        """Look whether a server answers at all, without MLflow's patience.

        Raises:
            ServiceError: It does not.
        """
        if not self.is_server:
            return
        try:
            with urllib.request.urlopen(f"{self.uri.rstrip('/')}/health", timeout=PROBE_SECONDS):
                pass
        except urllib.error.HTTPError as error:
            # A gateway may keep this page to itself; that something answers is enough.
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise ServiceError(self._no_answer(str(error))) from error
        except OSError as error:
            raise ServiceError(self._no_answer(str(error))) from error

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn MLflow's errors in the block into ServiceErrors."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            yield
        except RequestException as error:
            raise ServiceError(self._no_answer(str(error))) from error
        except MlflowException as error:
            if error.error_code in _NOT_OUR_FAULT:
                raise ServiceError(self._no_answer(error.message)) from error
            raise RecordRefusedError(self._refusal(error.message)) from error

    def _no_answer(self, got: str) -> Problem:
        remedy = "Start the servers with `retort up`." if self.is_server else "Mend the file or its disk."
        return Problem(self.uri, _first_line(got), "an MLflow store that answers", remedy)

    def _refusal(self, got: str) -> Problem:
        return Problem(self.uri, _first_line(got), "MLflow to take the record", "Mend what it names.")


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:500]
