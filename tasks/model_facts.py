"""What the artifacts tell of a model: with which settings it was made, from whose feedback, how good it is.

Only manifests are read, and the small files of measurements; of a version whose artifacts are partly gone,
what is left is told.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.lineage import FEEDBACK
from tasks.model_records import ModelVersion
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError, Manifest, canonical_json, sha256_bytes
from tasks.shared.store import Store
from tasks.stage_spec import flatten

FIGURES = "figures.json"
Measured = tuple[float, ...]  # a value, or a value with the ends of its interval


class Learnt(BaseModel):
    """Feedback that a model learnt from.

    Attributes:
        key: The artifact that holds it.
        events: How many judgements.
        simulated: How many of them are not people's.
        annotators: How many gave them.
        inherited: Whether an earlier model learnt from it, which this one was made from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    events: int
    simulated: int
    annotators: int
    inherited: bool


class Facts(BaseModel):
    """What is known of a version.

    Attributes:
        config: The settings of the stages that made it, by dotted key.
        learnt: The feedback, its own first.
        figures: By how they were measured (figures of one such name may be compared), then by name.
        gone: How many of the artifacts that it was made from are not there any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    learnt: tuple[Learnt, ...]
    figures: dict[str, dict[str, Measured]]
    gone: int


class FactFinder:
    """Reads every manifest of a place once; then tells of any version."""

    def __init__(self, place: Place) -> None:
        """Reads them; those that cannot be read count as gone."""
        self._found: dict[str, tuple[Store, Manifest]] = {}
        for store in place.stores():
            for key in store.list_artifacts():
                try:
                    manifest = store.manifest(key)
                except CorruptArtifactError:
                    continue
                if manifest is not None:
                    self._found.setdefault(sha256_bytes(manifest.to_bytes()), (store, manifest))

    def facts(self, version: ModelVersion) -> Facts:
        """All that the artifacts tell of a version."""
        digests = self._trace(version)
        made_from = {digest: self._found[digest][1] for digest in digests if digest in self._found}
        return Facts(
            config=nearest_settings(made_from.values()),
            learnt=tuple(learnt_from(made_from, version.reward or version.model)),
            figures=self._figures(version),
            gone=len(digests) - len(made_from),
        )

    def _trace(self, version: ModelVersion) -> list[str]:
        """Digests of what a version was made from, the nearest first."""
        digests = [ref.sha256 for ref in version.refs.values()]
        for digest in digests:
            if digest in self._found:
                parents = dict.fromkeys(self._found[digest][1].parents)
                digests += [parent for parent in parents if parent not in digests]
        return digests

    def _figures(self, version: ModelVersion) -> dict[str, dict[str, Measured]]:
        all_figures: dict[str, dict[str, Measured]] = {}
        for store, manifest in self._found.values():
            if version.model.sha256 in manifest.parents and version.clean.sha256 in manifest.parents:
                figures = dict(_measured(store, manifest))
                if figures:
                    # Figures are comparable if the same stage took them with the same settings and questions.
                    same = canonical_json([manifest.config, version.clean.sha256])
                    all_figures[f"{manifest.kind} {sha256_bytes(same)[:12]}"] = figures
        return all_figures


def nearest_settings(made_from: Iterable[Manifest]) -> dict[str, Any]:
    """The settings of every stage; of a stage that was run for earlier models too, those of the last one."""
    stages: set[str] = set()
    settings: dict[str, Any] = {}
    for manifest in made_from:
        if manifest.kind not in stages:
            stages.add(manifest.kind)
            settings = flatten(manifest.config) | settings
    return settings


def learnt_from(made_from: Mapping[str, Manifest], learner: ArtifactRef) -> Iterator[Learnt]:
    """The feedback among the artifacts that a model was made from, in their order.

    Args:
        made_from: All these artifacts, by digest.
        learner: The one that was made from the model's own feedback; all other feedback is inherited.
    """
    own = made_from[learner.sha256].parents if learner.sha256 in made_from else ()
    for digest, manifest in made_from.items():
        if manifest.kind in FEEDBACK:
            counts = manifest.summary
            yield Learnt(
                key=manifest.key,
                events=counts["rows"],
                simulated=counts["simulated"],
                annotators=counts["annotators"],
                inherited=digest not in own,
            )


def _measured(store: Store, manifest: Manifest) -> Iterator[tuple[str, Measured]]:
    if manifest.kind == "evaluate":
        try:
            folder = store.fetch(manifest.reference(""))
        except CorruptArtifactError:
            return
        yield from _aligned_figures(folder / FIGURES)
    elif manifest.kind == "examine":
        for name, value in manifest.summary.items():
            if name != "rows":
                yield name, tuple(value) if isinstance(value, list) else (value,)


def _aligned_figures(path: Path) -> Iterator[tuple[str, Measured]]:
    lines: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    for line in lines:
        if line["model"] == "aligned":
            yield line["metric"], (line["value"], line["low"], line["high"])
