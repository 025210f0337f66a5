"""Records on their way to MLflow; what it cannot take now waits, as no stage ends for want of one."""

import random
import time
from collections import deque
from collections.abc import Callable

from tasks.shared.errors import ServiceError
from tasks.shared.mlflow_client import MLflowLine, RecordRefusedError
from tasks.shared.patience import Patience

# Between two tries while a loop goes on; each may take MLflow's own patience.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 60.0


def is_away(error: Exception) -> bool:
    """Whether MLflow did not answer, so that the same call may succeed later."""
    return isinstance(error, ServiceError) and not isinstance(error, RecordRefusedError)


class Outbox:
    """Makes the calls of one run to MLflow in their order, now or when it is back."""

    def __init__(self, line: MLflowLine) -> None:
        self._line = line
        self._waiting: deque[Callable[[], object]] = deque()
        self._pause, self._next_try = 0.0, 0.0

    def send(self, call: Callable[[], object]) -> None:
        """Make a call now, after those that wait; if MLflow is away, keep it.

        Raises:
            RecordRefusedError: MLflow answers, but does not take this record or one that waited; it is
                dropped.
        """
        self._waiting.append(call)
        if time.monotonic() < self._next_try:
            return
        try:
            self._send_all()
        except ServiceError as error:
            if not is_away(error):
                raise
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            self._next_try = time.monotonic() + random.uniform(self._pause / 2, self._pause)

    def drain(self, patience: Patience) -> None:
        """Send what waits, whatever pause there was to be.

        Raises:
            ServiceError: MLflow was away until patience ended; what waited is dropped.
        """
        try:
            patience.insist(f"MLflow at {self._line.uri}", self._send_all, is_away)
        finally:
            self._waiting.clear()

    def _send_all(self) -> None:
        if self._pause:
            # MLflow's own patience is long; once it was away, ask first whether it is there at all.
            self._line.probe()
        while self._waiting:
            try:
                with self._line.told():
                    self._waiting[0]()
            except ServiceError as error:
                if not is_away(error):
                    # Kept, it would bar the way for all that come after, the end of the run among them.
                    self._waiting.popleft()
                raise
            self._waiting.popleft()
        self._pause = self._next_try = 0.0
