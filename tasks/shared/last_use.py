"""When an artifact was last used: a time in its record, which housekeeping goes by.

A run that finds an artifact leaves no other trace of it, so a stage that every run shares would look old.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from tasks.shared.errors import StoreError
from tasks.shared.store import Store

USED = "used_at"
FINISHED = "finished_at"
# A write for every look would be too many; times of use are no finer than this.
GRAIN_SECONDS = 3600.0


def note_use(store: Store, key: str) -> None:
    """Write into an artifact's record that it was used now, at most once an hour.

    That this could not be written is no reason to refuse the artifact.
    """
    with suppress(StoreError):
        record = store.read_record(key) or {}
        idle = seconds_idle(record)
        if idle is None or not 0 <= idle < GRAIN_SECONDS:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            store.write_record(key, {**record, USED: now})


def seconds_idle(record: Mapping[str, Any]) -> float | None:
    """Seconds since an artifact was made or used, whichever was later; None if its record does not tell.

    Negative if the clock was set back since.
    """
    times = [datetime.fromisoformat(record[name]) for name in (FINISHED, USED) if record.get(name)]
    return (datetime.now(UTC) - max(times)).total_seconds() if times else None
