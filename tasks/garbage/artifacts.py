"""Which artifacts are needed, by whom, and which are not.

Needed is what a registered model, the last run or a recent report names, what was used lately, and whatever
one of these was made from. Feedback that its annotator withdrew goes, whoever needs it.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from tasks.garbage.rubbish import DAY, Rubbish, unless_busy
from tasks.garbage.shelves import Shelf
from tasks.lineage import ancestors
from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError
from tasks.shared.errors import StoreAwayError, StoreError
from tasks.shared.last_use import seconds_idle
from tasks.shared.store import Store
from tasks.shared.store_files import StoredFile

REPORT = "report"
WITHDRAWN = "holds feedback that was withdrawn"


@dataclass(frozen=True)
class Held:
    """An artifact, or what is left of one.

    Attributes:
        shelf: Where it is.
        key: Its key.
        ref: The reference to it, without its summary; None without a readable manifest.
        unknown: Whether another version of Retort wrote its manifest.
        bytes: What its files take.
        idle: Seconds since it was made or used, whichever was later.
    """

    shelf: Shelf
    key: str
    ref: ArtifactRef | None
    unknown: bool
    bytes: int
    idle: float

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return self.key.partition("/")[0]


def take_stock(shelf: Shelf) -> list[Held]:
    """Every artifact of a store, also half ones, sorted by key; each manifest and record is read."""
    sizes: dict[str, int] = {}
    ages: dict[str, float] = {}
    for file in shelf.files.walk("artifacts"):
        key = "/".join(file.place.split("/")[1:3])
        sizes[key] = sizes.get(key, 0) + file.bytes
        ages[key] = min(ages.get(key, file.age), file.age)
    return [_look(shelf, key, sizes[key], ages[key]) for key in sorted(sizes)]


def _look(shelf: Shelf, key: str, size: int, age: float) -> Held:
    ref, unknown = None, False
    try:
        ref = shelf.store.find(key)
    except CorruptArtifactError:
        pass
    except StoreAwayError:
        raise
    except StoreError:
        unknown = True
    if ref is not None:
        ref = ref.model_copy(update={"summary": {}})
    return Held(shelf, key, ref, unknown, size, _idle(shelf.store, key, age))


def _idle(store: Store, key: str, age: float) -> float:
    idle = None
    # A damaged record holds times and ids only; the age of the files is left.
    with suppress(StoreError):
        idle = seconds_idle(store.read_record(key) or {})
    return age if idle is None else min(age, idle)


def needed(stock: Sequence[Held], named: Mapping[str, str], days: float, reports: int) -> dict[str, str]:
    """Why each needed artifact is needed, by key; the first reason that holds.

    Args:
        stock: All artifacts, of all stores.
        named: Keys that somebody names, with who it is.
        days: What was used within so many days is needed.
        reports: How many of the reports used last are needed, however old.
    """
    latest = sorted((held.idle, held.key) for held in stock if held.stage == REPORT)
    recent = list(dict.fromkeys(key for _, key in latest))[:reports]
    reasons = [
        dict(named),
        dict.fromkeys(recent, f"one of the last {reports} reports"),
        {held.key: f"used within {days:g} days" for held in stock if held.idle < days * DAY},
        {held.key: "another version of Retort wrote it" for held in stock if held.unknown},
    ]
    refs = [held.ref for held in stock if held.ref is not None]
    keys = {ref.sha256: ref.key for ref in refs}
    why: dict[str, str] = {}
    for reason in reasons:
        for key, words in reason.items():
            why.setdefault(key, words)
            roots = [ref.sha256 for ref in refs if ref.key == key]
            for digest in ancestors(refs, roots) & keys.keys():
                why.setdefault(keys[digest], f"what was made from it: {words}")
    return why


def unneeded(
    stock: Sequence[Held], why: Mapping[str, str], withdrawn: Collection[str], days: float
) -> list[Rubbish]:
    """Artifacts to delete.

    Args:
        stock: All artifacts, of all stores.
        why: Keys that are needed, with the reason.
        withdrawn: Digests of artifacts with events that were withdrawn.
        days: How long what is no whole artifact is left alone.
    """
    found = []
    for held in stock:
        if held.ref is not None and held.ref.sha256 in withdrawn:
            found.append(_rubbish(held, WITHDRAWN, -math.inf))
        elif held.key not in why:
            words = "nobody needs it" if held.ref else "no readable manifest"
            found.append(_rubbish(held, words, days * DAY))
    return found


def _rubbish(held: Held, why: str, least_idle: float) -> Rubbish:
    return Rubbish(
        "artifact",
        held.stage,
        held.key,
        held.shelf.files.shown(f"artifacts/{held.key}"),
        held.bytes,
        held.idle,
        why,
        partial(_remove, held, least_idle),
    )


def _remove(held: Held, least_idle: float) -> bool:
    """Delete an artifact and its record, unless it was used or made anew since it was looked at."""
    store, files = held.shelf.store, held.shelf.files
    with unless_busy(store, held.key) as free:
        if not free or _youngest(files.walk(f"artifacts/{held.key}"), store, held.key) < least_idle:
            return False
        store.delete(held.key)
        # After the artifact, which without its record would look younger or older than it is.
        files.remove(f"records/{held.key}.json")
    return True


def _youngest(files: Iterable[StoredFile], store: Store, key: str) -> float:
    """Seconds since an artifact was written or used."""
    return _idle(store, key, min((file.age for file in files), default=math.inf))
