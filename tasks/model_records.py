"""What the log of a use case's models holds, and what follows from it: who is champion, who is challenger."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tasks.shared.artifacts import ArtifactRef, Digest
from tasks.shared.errors import RetortError

Act = Literal["entered", "promoted", "kept", "rolled_back"]
Told = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

# What changes who is champion.
CROWNING: tuple[Act, ...] = ("promoted", "rolled_back")

_SNAPSHOT = re.compile(r"[0-9a-f]{64}@(\d+)")


class RegistryError(RetortError):
    """Raised when the model registry cannot do what it is asked for."""


class Candidate(BaseModel):
    """A model that may serve, and what it was made from.

    Attributes:
        model: Artifact of the stage that aligned it; the folder `model/` in it is what serves.
        clean: The questions.
        distill: The student before it was aligned.
        reward: The reward model; None if it was aligned without one.
        feedback: State of the feedback store, `SHA256@SEQUENCE`; or `simulated`, or the digest of a file.
        watermark: Sequence of the last event of the store that it learnt from; 0 if none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ArtifactRef
    clean: ArtifactRef
    distill: ArtifactRef
    reward: ArtifactRef | None
    feedback: str
    watermark: int = Field(ge=0)

    @property
    def refs(self) -> dict[str, ArtifactRef]:
        """Its artifacts, by what they are to it."""
        all_refs = {"model": self.model, "reward": self.reward, "distill": self.distill, "clean": self.clean}
        return {part: ref for part, ref in all_refs.items() if ref is not None}


class ModelVersion(Candidate):
    """A candidate that was entered.

    Attributes:
        number: Its number in the log of its use case, from 1.
        name: The use case.
        served_sha256: Digest of all that shapes its answers, which MLflow's version carries too.
        mlflow_version: MLflow's number of it, if MLflow knew it when it was entered.
    """

    number: int = Field(ge=1)
    name: str
    served_sha256: Digest
    mlflow_version: str | None


class Entry(BaseModel):
    """One act on the models of a use case.

    Attributes:
        sequence: Its place in the log, from 1.
        previous: Digest of the entry before it.
        at: When, UTC, to the second.
        act: What was done.
        version: To which model; of `rolled_back`, the one that serves from then on.
        champion_before: Number of the champion before the act; None if there was none.
        reason: Why, for people.
        by: `run`, `gate`, or a person's name.
        evidence: Key of the artifact in which the decision is laid out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sequence: int = Field(ge=1)
    previous: Digest
    at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$")
    act: Act
    version: ModelVersion
    champion_before: int | None
    reason: Told
    by: Told
    evidence: str | None = None


def watermark_of(feedback: str) -> int:
    """The sequence in the name of a state of the feedback store; 0 if it names no such state."""
    found = _SNAPSHOT.fullmatch(feedback)
    return int(found[1]) if found else 0


def versions_of(entries: Sequence[Entry]) -> list[ModelVersion]:
    """Every model that was entered, in the order of its number."""
    return [entry.version for entry in entries if entry.act == "entered"]


def champion_of(entries: Sequence[Entry], at: datetime | None = None) -> ModelVersion | None:
    """The model that serves, or that served at a moment (with its time zone); None if there was none."""
    crowned = crowning_of(entries, at)
    return crowned.version if crowned else None


def crowning_of(entries: Sequence[Entry], at: datetime | None = None) -> Entry | None:
    """The act that made the champion one.

    The order of the log counts, not that of the clocks: of the entries up to the moment the last one.
    """
    done = [entry for entry in entries if at is None or datetime.fromisoformat(entry.at) <= at]
    return next((entry for entry in reversed(done) if entry.act in CROWNING), None)


def challenger_of(entries: Sequence[Entry]) -> ModelVersion | None:
    """The model that was entered last, unless it serves or has served."""
    versions = versions_of(entries)
    crowned = {entry.version.number for entry in entries if entry.act in CROWNING}
    return versions[-1] if versions and versions[-1].number not in crowned else None


def reigns(entries: Sequence[Entry]) -> list[int]:
    """Numbers of the champion, last, and of those to roll back to, each after the one that it followed.

    A promotion puts a number on top; to roll back to a number takes away what is above it.
    """
    stack: list[int] = []
    for entry in entries:
        number = entry.version.number
        if entry.act == "rolled_back" and number in stack:
            del stack[stack.index(number) + 1 :]
        elif entry.act in CROWNING:
            stack.append(number)
    return stack
