"""The tracker in use: MLflow, in an SQLite file or behind a server.

The protocol is in `tasks.shared.tracking`, and each method is described there. A run needs an MLflow that
answers to begin; from then on it goes on without one, and tells what could not be recorded.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from tasks.shared.errors import ServiceError
from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.mlflow_models import register_folder
from tasks.shared.mlflow_outbox import is_away
from tasks.shared.mlflow_run import MLflowRun
from tasks.shared.patience import Patience, tell_nobody
from tasks.shared.processes import Process, birth
from tasks.shared.tracking import (
    FLOW_KEY,
    LINK,
    STAGE,
    STAGE_KEY,
    UNRECORDED,
    MemoryRun,
    Rows,
    Scalar,
    StageRun,
    Status,
    status_after,
)

Answer = TypeVar("Answer")

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# Before a stage begins, and when its work is in the store already.
START_SECONDS, END_SECONDS = 30.0, 120.0

HOST = "retort.host"
PROCESS = "retort.process"

_PARENT = "mlflow.parentRunId"
# Lets the UI open on the side for training, not on the one for chat traces.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class MLflowTracker:
    """Records a run of the flow in MLflow; fits `Tracker`."""

    def __init__(
        self,
        tracking_uri: str,
        experiment: str,
        artifact_root: Path | None = None,
        tell: Callable[[str], object] = tell_nobody,
    ) -> None:
        """Remember where to record; nothing is imported or opened yet.

        Args:
            tracking_uri: `sqlite:///...` or the http address of a server.
            experiment: Name of the experiment; made if missing.
            artifact_root: Where a new experiment keeps its files, for SQLite; a server decides by itself.
            tell: Called with a line about what waits for MLflow, or could not be recorded.
        """
        self._line = MLflowLine(tracking_uri)
        self._experiment = experiment
        self._artifact_root = artifact_root
        self._tell = tell
        self._experiment_id = ""
        self._parent: MLflowRun | None = None
        self._joined = False

    def open(
        self,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Scalar],
        resume_run_id: str | None = None,
    ) -> str:
        """Start the parent run, or join the one that another process opened."""
        self._joined = resume_run_id is not None
        if resume_run_id is not None:
            self._parent = MLflowRun(self._line, resume_run_id)
            self._unless_away(START_SECONDS, "find the run", partial(self._join, resume_run_id))
        else:
            self._line.probe()
            with self._line.told():
                self._experiment_id = self._find_experiment()
            self._end_dead_runs(tags.get(FLOW_KEY))
            self._parent = self._create(name, {**tags, **_this_process()}, params)
        return self._parent.id

    def close(self, status: Status = "FINISHED") -> None:
        """End the parent run, unless it was only joined."""
        parent, self._parent = self._parent, None
        if parent is not None and not self._joined:
            self._end(parent, "the run", status=status)

    @contextmanager
    def stage(self, name: str, key: str, params: Mapping[str, Scalar]) -> Iterator[StageRun]:
        """Record one executed stage as a child run; without an MLflow that answers, only in memory."""
        tags = {_PARENT: self._opened().id, STAGE: name, STAGE_KEY: key}
        run = self._unless_away(START_SECONDS, f"record {name}", partial(self._begin, name, tags, params))
        if run is None:
            yield MemoryRun(UNRECORDED, name, tags, dict(params))
            return
        try:
            yield run
        except BaseException as error:
            self._record_beside(error, partial(run.end, Patience(), error))
            raise
        self._end(run, name)

    def headline(self, metrics: Mapping[str, float]) -> None:
        """Show final figures on the parent run."""
        self._opened().metrics(metrics)

    def stages_table(self, rows: Rows) -> None:
        """Show on the parent run what became of each stage."""
        self._opened().table("stages", rows)

    def link(self, stage: str, url: str) -> None:
        """Point from the parent run to the run in which a cached stage was executed."""
        self._opened().tag(f"{LINK}.{stage}", url)

    @property
    def url(self) -> str | None:
        """Where people see the parent run in a browser; None without a server."""
        if not self._line.is_server or self._parent is None:
            return None
        return f"{self._line.uri.rstrip('/')}/#/experiments/{self._experiment_id}/runs/{self._parent.id}"

    def register_model(
        self, name: str, folder: Path, stage_run: StageRun, tags: Mapping[str, str], system: str = ""
    ) -> str:
        """Register a model."""

        def register() -> str:
            with self._line.told():
                run = self._line.client.get_run(stage_run.id)
                return register_folder(self._line.client, run, name, folder, tags, system)

        if stage_run.id == UNRECORDED:
            self._tell(f"MLflow: {name} is not registered, as its stage could not be recorded.")
            return ""
        return self._unless_away(END_SECONDS, f"register {name}", register) or ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._record_beside(error, partial(self._close_beside, status_after(error)))

    def _close_beside(self, status: Status) -> None:
        parent, self._parent = self._parent, None
        if parent is not None and not self._joined:
            parent.end(Patience(), status=status)

    def _opened(self) -> MLflowRun:
        if self._parent is None:
            raise RuntimeError("The tracker is not open.")
        return self._parent

    def _join(self, run_id: str) -> None:
        with self._line.told():
            self._experiment_id = self._line.client.get_run(run_id).info.experiment_id

    def _begin(self, name: str, tags: Mapping[str, str], params: Mapping[str, Scalar]) -> MLflowRun:
        if not self._experiment_id:
            self._join(self._opened().id)
        return self._create(name, tags, params)

    def _unless_away(self, seconds: float, to: str, call: Callable[[], Answer]) -> Answer | None:
        """What a call gives; None, and a line for whoever watches, if MLflow stays away."""
        patience = Patience(seconds, self._tell)
        try:
            return patience.insist(f"MLflow at {self._line.uri}", call, is_away)
        except ServiceError as error:
            if not is_away(error):
                raise
            self._tell(f"MLflow was away for too long to {to}; the run goes on. {error}")
            return None

    def _end(self, run: MLflowRun, what: str, status: Status | None = None) -> None:
        """End a run whose work is done; MLflow's absence does not undo it."""
        try:
            run.end(Patience(END_SECONDS, self._tell), status=status)
        except ServiceError as error:
            if not is_away(error):
                raise
            self._tell(f"MLflow has not all that was recorded of {what}; the run goes on. {error}")

    def _create(self, name: str, tags: Mapping[str, str], params: Mapping[str, Scalar]) -> MLflowRun:
        with self._line.told():
            created = self._line.client.create_run(self._experiment_id, tags=dict(tags), run_name=name)
        run = MLflowRun(self._line, created.info.run_id)
        run.params(params)
        return run

    def _record_beside(self, error: BaseException, record: Callable[[], None]) -> None:
        """Record a failure without hiding it: if that fails too, a note to the first error says so."""
        try:
            self._line.probe()
            record()
        except ServiceError as second:
            error.add_note(f"Nor could this be recorded: {second}")

    def _find_experiment(self) -> str:
        client = self._line.client
        while (experiment := client.get_experiment_by_name(self._experiment)) is None:
            self._make_experiment(client)
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _make_experiment(self, client: "MlflowClient") -> None:
        """Make the experiment, unless another process was quicker."""
        from mlflow.exceptions import MlflowException

        folder = self._artifact_root.resolve().as_uri() if self._artifact_root else None
        location = None if self._line.is_server else folder
        try:
            client.create_experiment(self._experiment, location, _EXPERIMENT_TAGS)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _end_dead_runs(self, flow_key: str | None) -> None:
        """Mark what a killed process left as KILLED: its parent run and the children that were open.

        Runs of other hosts are left alone: from here nobody can see whether they live.
        """
        if flow_key is None:
            return
        with self._line.told():
            for run in self._running(FLOW_KEY, flow_key):
                if _is_dead(run.data.tags):
                    for child in self._running(_PARENT, run.info.run_id):
                        self._line.client.set_terminated(child.info.run_id, "KILLED")
                    self._line.client.set_terminated(run.info.run_id, "KILLED")

    def _running(self, tag: str, value: str) -> "list[Run]":
        chosen = f"tags.`{tag}` = '{value}' and attributes.status = 'RUNNING'"
        return list(self._line.client.search_runs([self._experiment_id], chosen))


def _this_process() -> dict[str, str]:
    process = Process(pid=os.getpid(), birth=birth(os.getpid()) or "")
    return {HOST: socket.gethostname(), PROCESS: process.model_dump_json()}


def _is_dead(tags: Mapping[str, str]) -> bool:
    here = tags.get(HOST) == socket.gethostname()
    return here and PROCESS in tags and not Process.model_validate_json(tags[PROCESS]).is_alive()
