"""Where a run computes: its store, its tracker, its folder. Nothing here changes what is computed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console

from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError
from tasks.shared.local_store import LocalStore
from tasks.shared.store import Store, copy_artifact
from tasks.shared.tracking import Tracker


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

    def store(self) -> Store:
        """The artifact store."""
        if self.s3_endpoint is None or self.s3_bucket is None:
            return self._folder()
        from tasks.shared.s3_store import S3Store

        return S3Store(self.s3_bucket, "", self.s3_endpoint, self.home / "cache" / "s3")

    def find(self, store: Store, key: str) -> ArtifactRef | None:
        """An artifact in the store; one that an embedded run left in the folder is taken over."""
        with setting_aside(store, key):
            found = store.find(key)
        if found is not None or self.s3_endpoint is None:
            return found
        folder = self._folder()
        with setting_aside(folder, key):
            return copy_artifact(key, folder, store)

    def fetch(self, store: Store, ref: ArtifactRef) -> Path:
        """The verified folder of an artifact."""
        with setting_aside(store, ref.key):
            return store.fetch(ref)

    def tracker(self) -> Tracker:
        """The tracker of the flow run."""
        from tasks.shared.mlflow_tracking import MLflowTracker

        return MLflowTracker(self.tracking_uri, self.experiment, self.home / "mlartifacts")

    def console(self) -> Console:
        """Where progress is shown: standard error, so that standard output stays for results."""
        return Console(stderr=True, quiet=self.quiet)

    def _folder(self) -> LocalStore:
        return LocalStore(self.home / "store")


@contextmanager
def setting_aside(store: Store, key: str) -> Iterator[None]:
    """Quarantine an artifact that proves corrupt, so that the next run makes it again; the error goes on."""
    try:
        yield
    except CorruptArtifactError as error:
        store.quarantine(key, str(error))
        raise
