"""What nobody needs any more: found first, shown, and deleted by the finder's own way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from tasks.shared.store import Store

Kind = Literal["artifact", "checkpoints", "set aside", "record", "half written", "scratch", "copy"]

DAY = 86400.0


@dataclass(frozen=True)
class Rubbish:
    """One thing to delete.

    Attributes:
        kind: What it is.
        stage: The stage that it belongs to; empty if none.
        key: The key that it belongs to; empty if none.
        where: Its address.
        bytes: What it takes.
        idle: Seconds since it was last written or used.
        why: Why nobody needs it.
        remove: Deletes it; False, and nothing deleted, if somebody works on it or used it meanwhile.
    """

    kind: Kind
    stage: str
    key: str
    where: str
    bytes: int
    idle: float
    why: str
    remove: Callable[[], bool] = field(repr=False, compare=False)


class Busy(Exception):
    """Raised inside a lease that somebody else holds."""


@contextmanager
def unless_busy(store: Store, key: str) -> Iterator[bool]:
    """Hold a key's lease; give False at once if somebody else works on the key."""
    with suppress(Busy):
        with store.lease(key, on_wait=refuse):
            yield True
        return
    yield False


def refuse() -> None:
    """End waiting for somebody who holds a lock; called on the first wait.

    Raises:
        Busy: Always.
    """
    raise Busy


def sweep(rubbish: list[Rubbish]) -> tuple[list[Rubbish], list[Rubbish]]:
    """Delete one after the other; killed midway, a second call goes on.

    Returns:
        What was deleted, and what was left because somebody works on it.
    """
    deleted: list[Rubbish] = []
    busy: list[Rubbish] = []
    for one in rubbish:
        (deleted if one.remove() else busy).append(one)
    return deleted, busy
