"""Run one stage: find its artifact, or make it under a lease, with checkpoints, and commit it.

`execute` is a plain function: it needs no Prefect. A stage's own module holds `run(context) -> summary`,
which reads its inputs, writes files below `context.out`, and knows neither store nor tracker.
"""

import importlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from safetensors import SafetensorError

from configs.schema import TeacherConfig
from configs.section import Section
from tasks.ml.checkpoint import Tensors, read_state, write_state
from tasks.ml.progress import Bar
from tasks.ml.prompts import SYSTEM
from tasks.ml.records import Records
from tasks.ml.trainer import Watch
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.cost import metered
from tasks.shared.errors import DiskFullError, Problem
from tasks.shared.hardware import keep_freed_memory
from tasks.shared.progress import ProgressBars
from tasks.shared.record_shards import RecordShards
from tasks.shared.store import Store
from tasks.shared.tracking import StageRun, Tracker
from tasks.stage_spec import StageResult, StageSpec, State, flatten

SomeSection = TypeVar("SomeSection", bound=Section)


@dataclass
class StageContext:
    """What a stage's `run` gets.

    Attributes:
        config: Its sections, as in the spec.
        inputs: Verified folders of its input artifacts.
        refs: References of its input artifacts.
        out: Empty folder for its files.
        cache: Folder for things that can be made again, such as converted models.
        run: Records metrics, pictures and tables.
        bars: Shows progress.
        checkpoints: Keeps the state of long loops.
        tracker: Registers models.
        records: Gives what earlier runs of this or other configurations wrote under a name.
        external: Digest of each input from outside the store, by name, such as `teacher`.
        data_endpoint: Address of the S3 server that datasets are read from, if there is one.
    """

    config: Mapping[str, Any]
    inputs: Mapping[str, Path]
    refs: Mapping[str, ArtifactRef]
    out: Path
    cache: Path
    run: StageRun
    bars: ProgressBars
    checkpoints: "StoreCheckpoints"
    tracker: Tracker
    records: Callable[[str], Records]
    external: Mapping[str, str]
    data_endpoint: str | None = None

    @property
    def seed(self) -> int:
        """Seed of every draw."""
        return int(self.config["seed"])

    def section(self, kind: type[SomeSection], name: str) -> SomeSection:
        """A section of the configuration; one that the stage did not declare is not there."""
        return kind.model_validate(self.config[name])

    @property
    def teacher_source(self) -> tuple[str, str, Path]:
        """What `tasks.ml.teacher` is told: source, revision, and the folder of converted models."""
        section = self.section(TeacherConfig, "teacher")
        return section.source, section.revision, self.cache / "models"

    def bar(self, description: str, total: int, unit: str) -> Bar:
        """A progress bar."""
        return self.bars.bar(description, total, unit)

    def watch(self, description: str, total: int, unit: str = "steps") -> Watch:
        """Metrics, progress and checkpoints of a training loop."""
        return Watch(self.run.log, self.bar(description, total, unit), self.checkpoints)

    def register(self, folder: Path) -> None:
        """Register a model folder under the name of the use case, as a challenger."""
        tags = {f"retort.input.{name}": ref.sha256 for name, ref in self.refs.items()}
        self.tracker.register_model(f"retort-{self.config['name']}", folder, self.run, tags, SYSTEM)


class StoreCheckpoints:
    """Checkpoints under the stage's key in the store: whoever runs the stage next goes on from them."""

    def __init__(self, store: Store, key: str, scratch: Path) -> None:
        self._store, self._key, self._scratch = store, key, scratch
        self.resumed = False

    def save(self, name: str, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Keep tensors and a JSON state, replacing what was kept under this name."""
        path = self._scratch / f"{name}.safetensors"
        write_state(path, tensors, state)
        self._store.put_checkpoint(self._key, path.name, path)
        path.unlink()

    def load(self, name: str) -> tuple[Tensors, dict[str, Any]] | None:
        """What was kept last under this name, or None."""
        path = self._scratch / f"{name}.safetensors"
        if not self._store.get_checkpoint(self._key, path.name, path):
            return None
        self.resumed = True
        saved = read_state(path)
        path.unlink()
        return saved


def execute(spec: StageSpec, place: Place) -> StageResult:
    """Give the stage's artifact: the one in the store, or a new one.

    One writer works on a key at a time; whoever waited finds the artifact when the other is done.
    """
    started = time.monotonic()
    store = place.store()
    console = place.console()
    with store.lease(spec.key, on_wait=lambda: console.print(f"{spec.stage}: waiting for another run")):
        found = place.find(store, spec.key)
        if found is not None:
            record = store.read_record(spec.key) or {}
            return StageResult(
                ref=found, state="cached", seconds=_since(started), run_id=record.get("run_id")
            )
        with metered() as spent:
            ref, state, run_id = _compute(spec, place, store, console)
            cost = spent().as_dict()
        seconds = _since(started)
        record = {"run_id": run_id, "seconds": seconds, "state": state, "cost": cost}
        store.write_record(spec.key, record)
        store.drop_checkpoints(spec.key)
    return StageResult(ref=ref, state=state, seconds=seconds, run_id=run_id)


def _compute(spec: StageSpec, place: Place, store: Store, console: Console) -> tuple[ArtifactRef, State, str]:
    keep_freed_memory()
    module = importlib.import_module(spec.module)
    folders = {name: place.fetch(store, ref) for name, ref in spec.inputs.items()}
    tracker = place.tracker()
    tracker.open(spec.stage, {}, {}, resume_run_id=place.parent_run)
    with (
        _scratch(place.home / "work") as scratch,
        tracker.stage(spec.stage, spec.key, flatten(spec.config)) as run,
    ):
        out = scratch / "out"
        out.mkdir()
        checkpoints = StoreCheckpoints(store, spec.key, scratch)
        tell = partial(console.print, markup=False, soft_wrap=True)
        for name, ref in spec.inputs.items():
            run.dataset(name, ref.uri, ref.sha256, int(ref.summary.get("rows", 0)), "input")
        with ProgressBars(console) as bars, room_on_disk(place.home):
            summary = module.run(
                StageContext(
                    spec.config,
                    folders,
                    spec.inputs,
                    out,
                    place.home / "cache",
                    run,
                    bars,
                    checkpoints,
                    tracker,
                    lambda namespace: RecordShards(store, namespace, tell),
                    spec.external,
                    place.data_endpoint,
                )
            )
        parents = [ref.sha256 for ref in spec.inputs.values()]
        ref = store.commit(spec.key, spec.stage, out, parents, spec.config, summary)
        return ref, "resumed" if checkpoints.resumed else "executed", run.id


@contextmanager
def room_on_disk(home: Path) -> Iterator[None]:
    """Turn a full disk in the middle of a stage into an error that says what to do.

    Raises:
        DiskFullError: There is no room for what the stage writes; its checkpoints are as they were.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if "No space left" not in str(error):
            raise
        free = shutil.disk_usage(home).free
        remedy = "Make room, then start the run again: it goes on from its last checkpoint."
        raise DiskFullError(
            Problem(str(home), f"{free:,} bytes free", "room for its files", remedy)
        ) from error


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
