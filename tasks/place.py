"""Where a run computes: its store, its tracker, its folder. Nothing here changes what is computed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from configs.errors import Problem
from configs.schema_platform import PoolsConfig
from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError
from tasks.shared.last_use import note_use
from tasks.shared.local_store import LocalStore
from tasks.shared.patience import BRIEF_SECONDS, LONG_SECONDS, Patience
from tasks.shared.store import Store, copy_artifact
from tasks.shared.store_log import EntryLog, LocalLog, S3Log
from tasks.shared.tracking import Tracker

# Below the home folder: the artifacts of embedded runs, and scratch of the stages that run.
STORE, WORK = "store", "work"


class SetAsideError(CorruptArtifactError):
    """Raised when a damaged artifact was moved aside: whoever knows how it is made can make it anew now.

    Attributes:
        key: Where it was kept.
    """

    def __init__(self, problems: Problem | Sequence[Problem], key: str = "") -> None:
        super().__init__(problems)
        self.key = key


class Place(BaseModel):
    """A record of plain values, so that it can travel to the process that runs a stage. It holds no secret.

    Attributes:
        home: Folder of all local state.
        s3_endpoint: Address of the S3 store; None keeps artifacts below `home`.
        s3_bucket: Its bucket.
        data_endpoint: Address of the S3 server that datasets are read from.
        tracking_uri: MLflow's database or server.
        experiment: MLflow's experiment.
        parent_run: MLflow's run of this flow run, once it is open.
        quiet: Whether to show nothing.
        patience: How many seconds a store is waited for that went away.
        pools: How stages run elsewhere; None: in the process that asks for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    s3_endpoint: str | None = None
    s3_bucket: str | None = None
    data_endpoint: str | None = None
    tracking_uri: str
    experiment: str
    parent_run: str | None = None
    quiet: bool = False
    patience: float = BRIEF_SECONDS
    pools: PoolsConfig | None = None

    def patient(self) -> Self:
        """The same for a run under way, which rather waits for minutes than loses hours of work."""
        return self.model_copy(update={"patience": LONG_SECONDS})

    def hurried(self) -> Self:
        """The same for what may as well be left out, such as a checkpoint."""
        return self.model_copy(update={"patience": BRIEF_SECONDS})

    def store(self) -> Store:
        """The artifact store."""
        if self.s3_endpoint is None or self.s3_bucket is None:
            return self._folder()
        from tasks.shared.s3_store import S3Store

        patience = Patience(self.patience, self.tell)
        return S3Store(self.s3_bucket, "", self.s3_endpoint, self.copies, patience=patience)

    @property
    def copies(self) -> Path:
        """Folder of this machine with copies of what is in the S3 store."""
        return self.home / "cache" / "s3"

    def stores(self) -> list[Store]:
        """Every store that this home has: the one in use, and the folder of embedded runs."""
        return [self.store()] if self.s3_endpoint is None else [self.store(), self._folder()]

    def log(self) -> EntryLog:
        """The logs in the artifact store."""
        if self.s3_endpoint is None or self.s3_bucket is None:
            return self.folder_log()
        from tasks.shared.s3_bucket import Bucket

        return S3Log(Bucket(self.s3_bucket, self.s3_endpoint, Patience(self.patience, self.tell)))

    def folder_log(self) -> LocalLog:
        """The logs in the folder of embedded runs."""
        return LocalLog(self._folder().root)

    def find(self, store: Store, key: str) -> ArtifactRef | None:
        """An artifact in the store, which counts as used now; one in the folder is taken over.

        One with a damaged manifest counts as missing: the stage sets it aside when it has the lease.
        """
        try:
            found = store.find(key)
        except CorruptArtifactError:
            return None
        if found is None and self.s3_endpoint is not None:
            found = self._taken_over(store, key)
        if found is not None:
            note_use(store, key)
        return found

    def _taken_over(self, store: Store, key: str) -> ArtifactRef | None:
        folder = self._folder()
        try:
            return copy_artifact(key, folder, store)
        except CorruptArtifactError as error:
            with folder.lease(key):
                self._set_aside(folder, key, error)
            return None

    def clear(self, store: Store, key: str) -> None:
        """Set aside what has a damaged manifest, to make room for a new artifact; hold the lease."""
        try:
            store.find(key)
        except CorruptArtifactError as error:
            self._set_aside(store, key, error)

    def fetch(self, store: Store, ref: ArtifactRef) -> Path:
        """The verified folder of an artifact; do not hold the lease.

        Raises:
            SetAsideError: It is damaged, and now in quarantine.
        """
        try:
            return store.fetch(ref)
        except CorruptArtifactError:
            return self._fetch_again(store, ref)

    def _fetch_again(self, store: Store, ref: ArtifactRef) -> Path:
        """With nobody else at work on it: a rival may have set the artifact aside and made it anew."""
        with store.lease(ref.key):
            try:
                return store.fetch(ref)
            except CorruptArtifactError as error:
                self._set_aside(store, ref.key, error)
                remedy = "It is in quarantine now; run again: the stage is then computed anew."
                problems = [replace(problem, remedy=remedy) for problem in error.problems]
                raise SetAsideError(problems, ref.key) from error

    def _set_aside(self, store: Store, key: str, error: CorruptArtifactError) -> None:
        store.quarantine(key, str(error))
        self.tell(f"`{key}` is damaged and was moved to quarantine/: {error.problems[0]}")

    def tracker(self) -> Tracker:
        """The tracker of the flow run."""
        from tasks.shared.mlflow_tracking import MLflowTracker

        return MLflowTracker(self.tracking_uri, self.experiment, self.home / "mlartifacts", self.tell)

    def console(self) -> Console:
        """Where progress is shown: standard error, so that standard output stays for results."""
        return Console(stderr=True, quiet=self.quiet)

    def tell(self, line: str) -> None:
        """Show a line to whoever watches the run."""
        self.console().print(line, markup=False, highlight=False, soft_wrap=True)

    def _folder(self) -> LocalStore:
        return LocalStore(self.home / STORE)
