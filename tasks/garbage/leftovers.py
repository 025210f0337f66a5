"""What killed runs left in the stores and on this machine, and copies that can be fetched again."""

import math
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from pathlib import Path

from tasks.garbage.artifacts import Held
from tasks.garbage.rubbish import DAY, Busy, Kind, Rubbish, refuse, unless_busy
from tasks.garbage.shelves import Shelf
from tasks.lineage import FEEDBACK
from tasks.shared.disk import exclusive
from tasks.shared.scratch import dead_scratch, remove_dead
from tasks.shared.store import Store
from tasks.shared.store_files import FolderFiles, StoredFile, StoreFiles

# A commit of a day is none: what is half written for longer was left by a kill.
_HALF_WRITTEN_DAYS = 1.0


def checkpoints(shelf: Shelf, finished: Collection[str], days: float) -> Iterator[Rubbish]:
    """Checkpoints of stages that are finished, or that nobody went on with for some days.

    Args:
        shelf: The store.
        finished: Keys that have an artifact in it.
        days: How long an unfinished stage is waited for.
    """
    for key, files in _by_key(shelf.files, "checkpoints"):
        idle = min(file.age for file in files)
        if key in finished:
            why = "its stage is finished"
        elif idle > days * DAY:
            why = f"nobody went on with its stage for {days:g} days"
        else:
            continue
        where, stage = shelf.files.shown(f"checkpoints/{key}"), key.partition("/")[0]
        remove = partial(_drop, shelf.store, key)
        yield Rubbish("checkpoints", stage, key, where, _sum(files), idle, why, remove)


def _drop(store: Store, key: str) -> bool:
    with unless_busy(store, key) as free:
        if free:
            store.drop_checkpoints(key)
        return free


def set_aside(shelf: Shelf, days: float, somebody_withdrew: bool) -> Iterator[Rubbish]:
    """Damaged artifacts that were moved aside some days ago, so that there was time to look at them.

    Args:
        shelf: The store.
        days: How long they are kept.
        somebody_withdrew: Whether damaged feedback goes at once, because nobody can tell whose it is.
    """
    for place, files in _by_key(shelf.files, "quarantine"):
        why = ""
        if somebody_withdrew and place.partition("/")[0] in FEEDBACK:
            why = "may hold feedback that was withdrawn"
        elif min(file.age for file in files) > days * DAY:
            why = f"set aside as damaged more than {days:g} days ago"
        if why:
            yield _files("set aside", place, shelf.files, files, why)


def records(shelf: Shelf, held: Collection[str], days: float) -> Iterator[Rubbish]:
    """Records of artifacts that are gone."""
    for key, files in _by_key(shelf.files, "records"):
        if key not in held and min(file.age for file in files) > days * DAY:
            yield _files("record", key, shelf.files, files, "its artifact is gone")


def half_written(shelf: Shelf) -> Iterator[Rubbish]:
    """Files that a kill left before they had their name; only folders have such."""
    for area in ("staging", "records", "shards", "log"):
        for file in shelf.files.walk(area):
            in_staging = area == "staging" and not file.place.endswith(".lock")
            if (in_staging or file.place.endswith(".part")) and file.age > _HALF_WRITTEN_DAYS * DAY:
                key = "/".join(file.place.split("/")[1:3])
                yield _files("half written", key, shelf.files, [file], "its writer was killed")


def scratch(work: Path) -> Iterator[Rubbish]:
    """Scratch folders of stages whose process died."""
    for folder in dead_scratch(work):
        yield _local("scratch", "", folder, "its stage was killed", partial(remove_dead, folder))


def copies(cache: Path, stock: Sequence[Held], days: float) -> Iterator[Rubbish]:
    """Copies on this machine of what is in the S3 store, if they are not in use or are gone from it."""
    idle = {held.key: held.idle for held in stock}
    again = f"can be fetched again, not used for {days:g} days"
    for folder in sorted(path for path in (cache / "artifacts").glob("*/*/*") if path.is_dir()):
        key = folder.parent.relative_to(cache / "artifacts").as_posix()
        if idle.get(key, math.inf) >= days * DAY:
            why = again if key in idle else "gone from the store"
            yield _local("copy", key, folder, why, partial(_remove_copy, folder))
    for namespace in sorted((cache / "shards").glob("*/*")):
        key = namespace.relative_to(cache / "shards").as_posix()
        one = _local("copy", key, namespace, again, partial(_remove_shards, namespace))
        if one.idle >= days * DAY:
            yield one


def _remove_copy(folder: Path) -> bool:
    """Delete a copy, but not the lock file beside it: two processes would then lock two files."""
    with suppress(Busy), exclusive(folder.with_suffix(".lock"), refuse):
        shutil.rmtree(folder, ignore_errors=True)
        return True
    return False


def _remove_shards(folder: Path) -> bool:
    # A reader from whom one is taken away fetches it again.
    shutil.rmtree(folder, ignore_errors=True)
    return True


def _by_key(files: StoreFiles, area: str) -> Iterator[tuple[str, list[StoredFile]]]:
    """The files of an area, together by the two names below it; a note goes with what it is about."""

    def key(file: StoredFile) -> str:
        return "/".join(file.place.split("/")[1:3]).removesuffix(".json")

    return ((name, list(group)) for name, group in groupby(sorted(files.walk(area), key=key), key))


def _local(kind: Kind, key: str, folder: Path, why: str, remove: Callable[[], bool]) -> Rubbish:
    files = list(FolderFiles(folder.parent).walk(folder.name))
    idle = min((file.age for file in files), default=math.inf)
    return Rubbish(kind, key.partition("/")[0], key, str(folder), _sum(files), idle, why, remove)


def _files(kind: Kind, key: str, files: StoreFiles, found: list[StoredFile], why: str) -> Rubbish:
    idle, stage = min(file.age for file in found), key.partition("/")[0]
    where = files.shown(found[0].place)
    return Rubbish(kind, stage, key, where, _sum(found), idle, why, partial(_remove_files, files, found))


def _remove_files(files: StoreFiles, found: list[StoredFile]) -> bool:
    for file in found:
        files.remove(file.place)
    return True


def _sum(files: Iterable[StoredFile]) -> int:
    return sum(file.bytes for file in files)
