"""What was made from an annotator's events: found in the artifacts, and followed through their parents."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.shared.artifacts import MANIFEST_NAME, ArtifactRef, CorruptArtifactError
from tasks.shared.store import Store
from tasks.warm_start import artifact_digests

FEEDBACK = ("feedback", "collect")  # stages whose artifacts hold events
REWARD = "reward"
EVENTS = "events.jsonl"


class UsedArtifact(BaseModel):
    """An artifact that an annotator's events went into.

    Attributes:
        stage: The stage that made it.
        key: Where it is kept.
        sha256: Digest of its manifest, by which others name it.
        uri: Where it is.
        finished_at: When it was made, in ISO 8601; None if that was not recorded.
        holds_events: Whether events of the annotator are in it; otherwise it was made from such an artifact.
        is_damaged: Whether its events cannot be read, so that it is taken for one that holds some.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    key: str
    sha256: str
    uri: str
    finished_at: str | None
    holds_events: bool
    is_damaged: bool = False


class Lineage(BaseModel):
    """All that was found.

    Attributes:
        artifacts: Those that events of the annotator went into, sorted by key and place.
        unreadable: Keys of artifacts without a readable manifest; what is in them cannot be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifacts: tuple[UsedArtifact, ...]
    unreadable: tuple[str, ...]


def trace(stores: Sequence[Store], annotator: str, before: Collection[str] = ()) -> Lineage:
    """Every artifact that events of an annotator went into, in any of some stores.

    Of each artifact its digests are kept in memory; events are read line by line.

    Args:
        stores: Where to look; an artifact in two of them is listed twice.
        annotator: Whose events.
        before: Digests of artifacts that held such events and may be deleted by now.
    """
    seen: list[tuple[Store, ArtifactRef]] = []
    unreadable: list[str] = []
    for store in stores:
        for key in store.list_artifacts():
            try:
                ref = store.find(key)
            except CorruptArtifactError:
                unreadable.append(key)
                continue
            if ref is not None:
                seen.append((store, ref.model_copy(update={"summary": {}})))
    holders, damaged = set(before), set()
    for store, ref in seen:
        if ref.kind in FEEDBACK and ref.sha256 not in holders:
            try:
                if holds_events(store.fetch(ref), annotator):
                    holders.add(ref.sha256)
            except CorruptArtifactError:
                damaged.add(ref.sha256)
    used = descendants(_with_warm_starts(seen), holders | damaged)
    artifacts = [
        UsedArtifact(
            stage=ref.kind,
            key=ref.key,
            sha256=ref.sha256,
            uri=ref.uri,
            finished_at=(store.read_record(ref.key) or {}).get("finished_at"),
            holds_events=ref.sha256 in holders,
            is_damaged=ref.sha256 in damaged,
        )
        for store, ref in seen
        if ref.sha256 in used
    ]
    return Lineage(
        artifacts=tuple(sorted(artifacts, key=lambda used: (used.key, used.uri))),
        unreadable=tuple(sorted(unreadable)),
    )


def holds_events(folder: Path, annotator: str) -> bool:
    """Whether a feedback artifact has an event of an annotator; whatever version of Retort wrote it."""
    return any(event.get("annotator") == annotator for event in event_lines(folder))


def event_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The events in an artifact, as they were written by whatever version of Retort; none if it has none."""
    path = folder / EVENTS
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _with_warm_starts(seen: Sequence[tuple[Store, ArtifactRef]]) -> list[ArtifactRef]:
    """References whose parents include the reward model that one started from.

    Earlier versions left it out of the parents; there it is still in the configuration.
    """
    digests = {ref.key: ref.sha256 for _, ref in seen}
    found = []
    for store, ref in seen:
        source = _warm_start(store, ref) if ref.kind == REWARD else None
        if source is not None:
            known = [digests[source]] if source in digests else artifact_digests(Path(source).expanduser())
            ref = ref.model_copy(update={"parents": (*ref.parents, *known)})
        found.append(ref)
    return found


def _warm_start(store: Store, ref: ArtifactRef) -> str | None:
    try:
        manifest = json.loads((store.fetch(ref) / MANIFEST_NAME).read_bytes())
    except CorruptArtifactError:
        # Nobody can start from it or serve it.
        return None
    source = manifest["config"].get("reward", {}).get("warm_start")
    return None if source is None else str(source)


def ancestors(refs: Collection[ArtifactRef], roots: Collection[str]) -> set[str]:
    """Digests of the roots and of all that they were made from, directly or not."""
    return _reached(roots, {ref.sha256: ref.parents for ref in refs})


def descendants(refs: Collection[ArtifactRef], roots: Collection[str]) -> set[str]:
    """Digests of the roots and of all that was made from them, directly or not."""
    children: dict[str, list[str]] = {}
    for ref in refs:
        for parent in ref.parents:
            children.setdefault(parent, []).append(ref.sha256)
    return _reached(roots, children)


def _reached(roots: Collection[str], following: Mapping[str, Sequence[str]]) -> set[str]:
    """The roots and all that is come by from them."""
    used: set[str] = set()
    pending = list(roots)
    while pending:
        digest = pending.pop()
        if digest not in used:
            used.add(digest)
            pending += following.get(digest, ())
    return used


def purge(stores: Sequence[Store], found: Lineage) -> list[str]:
    """Delete for good the artifacts that hold events of the annotator, or may hold some.

    Those without a readable manifest and those moved aside go too, since nobody can tell what they hold;
    what was made from the events stays. A call that was stopped is completed by a second one.

    Returns:
        The keys, sorted.
    """
    keys = {used.key for used in found.artifacts if used.holds_events or used.is_damaged}
    keys |= set(found.unreadable)
    for store in stores:
        store.empty_quarantine()
        for key in sorted(keys):
            with store.lease(key):
                store.delete(key)
    return sorted(keys)
