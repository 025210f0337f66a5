"""The models of a use case: which were made, which one serves, since when, why, and by whose word.

The truth is a log in the artifact store (`tasks.model_log`). MLflow's registered model mirrors it, so that
other programs can follow the aliases: the log is written first, the aliases second, and whoever comes next
sets right what a kill left between the two.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tasks.model_log import ModelLog
from tasks.model_mirror import MODEL_FOLDER, ModelMirror
from tasks.model_records import (
    CROWNING,
    Act,
    Candidate,
    Entry,
    ModelVersion,
    RegistryError,
    challenger_of,
    champion_of,
    reigns,
    versions_of,
    watermark_of,
)
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.errors import Problem, RetortError, ServiceError
from tasks.shared.model_folder import served_digest
from tasks.shared.store_log import checked

__all__ = [
    "MODEL_FOLDER",
    "Candidate",
    "Entry",
    "ModelRegistry",
    "ModelVersion",
    "RegistryError",
    "registry_names",
    "watermark_of",
]


def registry_names(place: Place) -> list[str]:
    """The use cases that have a log, sorted."""
    return sorted({*place.log().names(), *place.folder_log().names()})


class ModelRegistry:
    """The log of one use case, and the acts that it allows. To make one, or to read, imports no MLflow."""

    def __init__(self, place: Place, name: str) -> None:
        """Nothing is read or written yet.

        Raises:
            StoreError: No use case can have that name.
        """
        self._place, self.name = place, checked(name)
        self._log = ModelLog(place, name, place.tell)

    def entries(self) -> list[Entry]:
        """All acts in order.

        Raises:
            BrokenLogError: The log was changed.
        """
        return self._log.read()

    def versions(self) -> list[ModelVersion]:
        """Every model that was entered, in the order of its number."""
        return versions_of(self.entries())

    def version(self, number: int) -> ModelVersion:
        """The model of a number.

        Raises:
            RegistryError: There is none.
        """
        return self._numbered(self.entries(), number)

    def champion(self, at: datetime | None = None) -> ModelVersion | None:
        """The model that serves, or that served at a moment (with its time zone); None if there was none."""
        return champion_of(self.entries(), at)

    def challenger(self) -> ModelVersion | None:
        """The model that was entered last, unless it serves or has served."""
        return challenger_of(self.entries())

    def fetch(self, ref: ArtifactRef) -> Path:
        """The verified folder of an artifact of a version.

        Raises:
            RegistryError: The store does not have it any more.
            CorruptArtifactError: It is damaged.
        """
        store = self._place.store()
        found = self._place.find(store, ref.key)
        if found is None or found.sha256 != ref.sha256:
            got = "no artifact" if found is None else f"another one, sha256 {found.sha256}"
            remedy = "Start the run that made it again, or choose another version."
            raise RegistryError(Problem(ref.key, got, f"the one with sha256 {ref.sha256}", remedy))
        return self._place.fetch(store, found)

    def enter(self, candidate: Candidate, reason: str, by: str) -> ModelVersion:
        """Give a model its number, as challenger; one that has a number keeps it, and nothing is written.

        Args:
            candidate: The model; the digest of its artifact says which it is.
            reason: Why it was made.
            by: `run`, `gate`, or a person's name.
        """
        known = _entered(self.entries(), candidate)
        if known is not None:
            return known
        from tasks.ml.prompts import SYSTEM  # imports transformers

        served = served_digest(self.fetch(candidate.model) / MODEL_FOLDER, SYSTEM)
        number_there = self._mirror().number_of(served)
        with self._log.writing() as entries:
            known = _entered(entries, candidate)
            if known is not None:
                return known
            version = ModelVersion(
                **dict(candidate),
                number=len(versions_of(entries)) + 1,
                name=self.name,
                served_sha256=served,
                mlflow_version=number_there,
            )
            self._write(entries, "entered", version, reason, by)
        return version

    def promote(
        self, number: int, reason: str, by: str, evidence: str | None = None, against: int | None = None
    ) -> ModelVersion:
        """Make a version the champion; if it is already, nothing is written.

        Args:
            number: The version.
            reason: Why.
            by: `gate` or a person's name.
            evidence: Key of the artifact in which the decision is laid out.
            against: Number of the champion that it was compared with; None: whichever serves.

        Raises:
            RegistryError: There is no such version, its model is gone, or another champion serves by now.
        """
        self.fetch(self.version(number).model)
        with self._log.writing() as entries:
            version, champion = self._numbered(entries, number), champion_of(entries)
            if champion == version:
                return version
            if against is not None and (champion is None or champion.number != against):
                got = f"version {champion.number}" if champion else "no champion"
                expected = f"version {against}, which version {number} was compared with"
                remedy = "Compare it with the one that serves: start the night again."
                raise RegistryError(Problem("champion", got, expected, remedy))
            self._write(entries, "promoted", version, reason, by, evidence)
        return version

    def keep(self, number: int, reason: str, by: str, evidence: str | None = None) -> None:
        """Note that a version was not promoted, and why; what was noted last of it is not noted again.

        Raises:
            RegistryError: There is no such version.
        """
        with self._log.writing() as entries:
            version = self._numbered(entries, number)
            last = next(entry for entry in reversed(entries) if entry.version.number == number)
            if last.act != "kept" or (last.reason, last.by, last.evidence) != (reason, by, evidence):
                self._write(entries, "kept", version, reason, by, evidence)

    def roll_back(self, reason: str, by: str, to: int | None = None) -> ModelVersion:
        """Let an earlier champion serve again.

        Args:
            reason: Why.
            by: A person's name.
            to: Its number; None: the one that the champion followed.

        Raises:
            RegistryError: There is none, it never was champion, or its model is gone.
        """
        known = self.entries()
        number = _earlier(known, to)
        self.fetch(self._numbered(known, number).model)
        with self._log.writing() as entries:
            version = self._numbered(entries, number)
            if champion_of(entries) != version:
                self._write(entries, "rolled_back", version, reason, by)
        return version

    def set_aliases(self) -> list[str]:
        """Let MLflow say what the log says; give what it said before, in words, where that was another thing.

        Raises:
            ServiceError: MLflow does not answer.
            BrokenLogError: MLflow was told of an entry that the log does not have.
        """
        with self._log.writing() as entries:
            if not entries:
                return []
            mirror = self._mirror()
            mirror.check(self._log.digest)
            return mirror.set_right(entries, self._log.head)

    def _write(
        self,
        entries: list[Entry],
        act: Act,
        version: ModelVersion,
        reason: str,
        by: str,
        evidence: str | None = None,
    ) -> None:
        """Write the entry, then the aliases; that these fail takes nothing back.

        Raises:
            BrokenLogError: MLflow was told of an entry that the log does not have; nothing is written.
        """
        mirror = self._mirror()
        away: RetortError | None = None
        try:
            mirror.check(self._log.digest)
        except ServiceError as error:
            away = error
        self._log.append(entries, act, version, reason, by, evidence)
        try:
            if away is None:
                mirror.set_right(entries, self._log.head)
        except RetortError as error:
            away = error
        if away is not None:
            self._place.tell(
                f"models: MLflow's aliases are not set ({away}); `retort models list` sets them."
            )

    def _mirror(self) -> ModelMirror:
        return ModelMirror(self._place, self.name, self.fetch)

    def _numbered(self, entries: Sequence[Entry], number: int) -> ModelVersion:
        versions = versions_of(entries)
        if not 1 <= number <= len(versions):
            expected = f"1 to {len(versions)}" if versions else "one that a run entered: none did yet"
            remedy = "`retort models list` shows all versions."
            raise RegistryError(Problem(f"version of {self.name}", str(number), expected, remedy))
        return versions[number - 1]


def _entered(entries: Sequence[Entry], candidate: Candidate) -> ModelVersion | None:
    same = (version for version in versions_of(entries) if version.model.sha256 == candidate.model.sha256)
    return next(same, None)


def _earlier(entries: Sequence[Entry], to: int | None) -> int:
    """The number to roll back to.

    Raises:
        RegistryError: There is none, or that version never was champion.
    """
    before = reigns(entries)
    if to is None and len(before) > 1:
        return before[-2]
    served = sorted({entry.version.number for entry in entries if entry.act in CROWNING})
    if to in served:
        return to
    expected = f"one of {', '.join(map(str, served))}" if served else "one that was champion: none was yet"
    got = "no champion before the present one" if to is None else f"version {to}"
    remedy = "Promote a version instead: `retort models promote NUMBER --reason ...`."
    raise RegistryError(Problem("roll back", got, expected, remedy))
