"""Tells Prefect that feedback was stored, so that enough of it can start a night.

It never makes anybody wait: a thread of its own sends, and what Prefect does not take is kept and sent
later, up to a bound. What is lost with the process starts no night early; the clock starts it all the same.
"""

import random
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from configs.schema_schedule import MOST_EVENTS
from tasks.shared.servers import send_events
from tasks.shared.service_files import prefect_login
from tasks.shared.services import prefect_port

# The event, and of what it is; `flows.automations` waits for it.
RECORDED = "retort.feedback.recorded"
RESOURCE = "retort.feedback"

_AT_ONCE = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0


class Announcer:
    """Announces judgements of one home to the Prefect server that `retort up` started there, if any.

    Args:
        home: The folder of all state; the server may be started, stopped and moved meanwhile.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._waiting: deque[Mapping[str, object]] = deque(maxlen=MOST_EVENTS)
        self._changed = threading.Condition()
        self._ends = False
        self._thread: threading.Thread | None = None

    def recorded(self, count: int) -> None:
        """Announce so many judgements, later; this returns at once."""
        with self._changed:
            self._waiting.extend(_event() for _ in range(min(count, MOST_EVENTS)))
            if self._thread is None and count:
                self._thread = threading.Thread(target=self._work, name="announcer", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, patience: float = 5.0) -> None:
        """Send what waits, once and for at most so many seconds, and end."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(patience)

    def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ends)
                ends = self._ends
            is_sent = self._send()
            if ends or (self._ends and not self._waiting):
                return
            if is_sent:
                pause = _FIRST_PAUSE
                continue
            with self._changed:
                # Not all pages at once when the server is back.
                self._changed.wait_for(lambda: self._ends, pause * random.uniform(0.5, 1))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self) -> bool:
        """Send all that waits; those of a failed try go again under their ids, which Prefect counts once."""
        while self._waiting:
            with self._changed:
                batch = list(self._waiting)[:_AT_ONCE]
            port = prefect_port(self._home)
            # The time of sending: Prefect does not count what happened long ago.
            when = datetime.now(UTC).isoformat()
            events = [{**event, "occurred": when} for event in batch]
            if port is None or send_events(port, prefect_login(self._home), events):
                return False
            sent = {event["id"] for event in batch}
            with self._changed:
                kept = [event for event in self._waiting if event["id"] not in sent]
                self._waiting.clear()
                self._waiting.extend(kept)
        return True


def _event() -> Mapping[str, object]:
    # Nothing of what was judged, or by whom: everybody who sees Prefect sees it.
    return {
        "id": str(uuid.uuid4()),
        "event": RECORDED,
        "resource": {"prefect.resource.id": RESOURCE},
        "payload": {},
    }
