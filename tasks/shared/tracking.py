"""What a run tells about itself: the protocols of a tracker, and one that keeps everything in memory.

The tracker in use is `tasks.shared.mlflow_tracking`. One parent run belongs to a run of the flow, one child
to each stage that was executed in it; a cached stage has none.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

from tasks.shared.model_folder import check_model_folder, served_digest
from tasks.shared.non_finite import NonFinitePoints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scalar = str | int | float | bool | None
Rows = Sequence[Mapping[str, Scalar]]
Status = Literal["FINISHED", "FAILED", "KILLED"]

FLOW_KEY = "retort.flow_key"
STAGE = "retort.stage"
STAGE_KEY = "retort.key"
UNRECORDED = ""
ERROR = "retort.error"
NON_FINITE = "retort.non_finite"
LINK = "retort.link"


class StageRun(Protocol):
    """What one executed stage records. Names may hold letters, digits, spaces and `_ - . : /`."""

    @property
    def id(self) -> str:
        """The tracker's identifier of the run; `UNRECORDED` if the tracker was away."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each curve named. Points that are NaN or infinite go to a tag instead."""

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record final figures, which have no step."""

    def figure(self, name: str, figure: "Figure") -> None:
        """Keep a picture."""

    def table(self, name: str, rows: Rows) -> None:
        """Keep rows as a table for people; a second call with the name replaces it."""

    def dataset(self, name: str, source: str, digest: str, rows: int, context: str) -> None:
        """Say what data went in, without copying it.

        Args:
            name: Name of the dataset.
            source: Where it lies: a path or a URI.
            digest: Digest of its content.
            rows: How many rows it has.
            context: What it is for, such as `training`.
        """

    def text(self, name: str, text: str) -> None:
        """Keep a text under a file name."""

    def file(self, path: Path, folder: str) -> None:
        """Keep a copy of a file in a folder of the run."""


class Tracker(Protocol):
    """Records a run of the flow; a context manager that closes what `open` opened."""

    def open(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Scalar],
        resume_run_id: str | None = None,
    ) -> str:
        """Start the parent run, or join the one that another process opened.

        Args:
            name: What people see in lists.
            tags: Tags of the parent run. Other runs with the same `retort.flow_key` that seem to go on,
                though their process on this host has died, are marked KILLED.
            params: The resolved configuration, without secrets.
            resume_run_id: The parent run to join, for a stage in a process of its own. Name, tags and params
                stay as they are, and it is left to the process that opened it to close it.

        Returns:
            The identifier of the parent run.
        """

    def close(self, status: Status = "FINISHED") -> None:
        """End the parent run; without an open one this does nothing."""

    def stage(self, name: str, key: str, params: Mapping[str, Scalar]) -> AbstractContextManager[StageRun]:
        """Record one executed stage as a child run; an exception marks it FAILED and passes on."""

    def headline(self, metrics: Mapping[str, float]) -> None:
        """Show final figures on the parent run, where lists of runs show them."""

    def stages_table(self, rows: Rows) -> None:
        """Show on the parent run what became of each stage; a second call replaces the table."""

    def link(self, stage: str, url: str) -> None:
        """Point from the parent run to the run in which a cached stage was executed."""

    @property
    def url(self) -> str | None:
        """Where people see the parent run in a browser; None without a server."""

    def register_model(
        self, name: str, folder: Path, stage_run: StageRun, tags: Mapping[str, str], system: str = ""
    ) -> str:
        """Register a model.

        Args:
            name: Name of the registered model.
            folder: A Hugging Face folder: safetensors, config and tokenizer.
            stage_run: The run that made the model.
            tags: Tags of the version.
            system: The system message that the model was trained with; none if empty.

        Returns:
            The version; that of an earlier call with the same files and system message, if there was one.
            Empty if the tracker was away for minutes.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def status_after(error: BaseException | None) -> Status:
    """What a run ends as: an error of the program is FAILED, an interrupt is KILLED."""
    if error is None:
        return "FINISHED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def error_text(error: BaseException) -> str:
    """Kind and message of an exception, short enough for a tag."""
    return f"{type(error).__name__}: {error}"[:4000]


@dataclass
class MemoryRun:
    """A run kept in memory; fits `StageRun`.

    Attributes:
        curves: For each metric its points, (step, value).
        finals: Figures without step.
        datasets: For each dataset its source, digest, rows and context.
        files: Paths as `folder/name`.
    """

    id: str
    name: str
    tags: dict[str, str]
    params: dict[str, Scalar]
    status: Status | Literal["RUNNING"] = "RUNNING"
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    finals: dict[str, float] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)
    tables: dict[str, list[dict[str, Scalar]]] = field(default_factory=dict)
    datasets: dict[str, tuple[str, str, int, str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    _non_finite: NonFinitePoints = field(default_factory=NonFinitePoints)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each curve named."""
        for name, value in self._keep_finite(metrics, step).items():
            self.curves.setdefault(name, []).append((step, value))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record final figures."""
        self.finals.update(self._keep_finite(values, 0))

    def figure(self, name: str, figure: "Figure") -> None:
        """Note that there was a picture."""
        self.figures.append(name)

    def table(self, name: str, rows: Rows) -> None:
        """Keep rows."""
        self.tables[name] = [dict(row) for row in rows]

    def dataset(self, name: str, source: str, digest: str, rows: int, context: str) -> None:
        """Say what data went in."""
        self.datasets[name] = (source, digest, rows, context)

    def text(self, name: str, text: str) -> None:
        """Keep a text."""
        self.texts[name] = text

    def file(self, path: Path, folder: str) -> None:
        """Note that there was a file."""
        self.files.append(f"{folder}/{path.name}")

    def end(self, error: BaseException | None) -> None:
        """Set the status, and the message of the error if there was one."""
        self.status = status_after(error)
        if error is not None:
            self.tags[ERROR] = error_text(error)

    def _keep_finite(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        finite = self._non_finite.keep_finite(metrics, step)
        if words := self._non_finite.describe():
            self.tags[NON_FINITE] = words
        return finite


class MemoryTracker:
    """A tracker for tests and for runs that need no record; fits `Tracker`.

    Attributes:
        parent: The parent run, once opened.
        stages: The child runs, in the order of their start.
        models: For each model the digests of its versions; version 1 comes first.
    """

    url: str | None = None

    def __init__(self) -> None:
        self.parent: MemoryRun | None = None
        self.stages: list[MemoryRun] = []
        self.models: dict[str, list[str]] = {}

    def open(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Scalar],
        resume_run_id: str | None = None,
    ) -> str:
        """Start the parent run, or take it for the one to be joined."""
        self.parent = _new_run(name, tags, params)
        self.parent.id = resume_run_id or self.parent.id
        return self.parent.id

    def close(self, status: Status = "FINISHED") -> None:
        """End the parent run."""
        if self.parent is not None and self.parent.status == "RUNNING":
            self.parent.status = status

    @contextmanager
    def stage(self, name: str, key: str, params: Mapping[str, Scalar]) -> Iterator[MemoryRun]:
        """Keep one executed stage."""
        run = _new_run(name, {STAGE: name, STAGE_KEY: key}, params)
        self.stages.append(run)
        try:
            yield run
        except BaseException as error:
            run.end(error)
            raise
        run.end(None)

    def headline(self, metrics: Mapping[str, float]) -> None:
        """Keep final figures of the parent run."""
        self._opened().metrics(metrics)

    def stages_table(self, rows: Rows) -> None:
        """Keep what became of each stage."""
        self._opened().table("stages", rows)

    def link(self, stage: str, url: str) -> None:
        """Keep where a cached stage was executed."""
        self._opened().tags[f"{LINK}.{stage}"] = url

    def register_model(
        self, name: str, folder: Path, stage_run: StageRun, tags: Mapping[str, str], system: str = ""
    ) -> str:
        """Count the folder as a version, unless it is one already."""
        check_model_folder(folder)
        versions, digest = self.models.setdefault(name, []), served_digest(folder, system)
        if digest not in versions:
            versions.append(digest)
        return str(versions.index(digest) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(status_after(error))

    def _opened(self) -> MemoryRun:
        if self.parent is None:
            raise RuntimeError("The tracker is not open.")
        return self.parent


def _new_run(name: str, tags: Mapping[str, str], params: Mapping[str, Scalar]) -> MemoryRun:
    return MemoryRun(id=uuid.uuid4().hex, name=name, tags=dict(tags), params=dict(params))
