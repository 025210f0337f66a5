"""Run one stage: find its artifact, or make it under a lease, with checkpoints, and commit it.

`execute` is a plain function: it needs no Prefect. A stage's own module holds `run(context) -> summary`,
which reads its inputs, writes files below `context.out`, and knows neither store nor tracker.
"""

import importlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from safetensors import SafetensorError

from configs.schema import TeacherConfig
from configs.section import Section
from tasks.curve import Curve
from tasks.ml.checkpoint import Tensors, read_state, write_state
from tasks.ml.progress import Bar
from tasks.ml.prompts import SYSTEM
from tasks.ml.records import Records
from tasks.ml.trainer import Watch
from tasks.place import WORK, Place
from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError
from tasks.shared.cost import metered
from tasks.shared.env import feedback_url
from tasks.shared.errors import DiskFullError, LeaseLostError, Problem, StoreAwayError
from tasks.shared.hardware import keep_freed_memory
from tasks.shared.model_folder import registered_name
from tasks.shared.progress import ProgressBars
from tasks.shared.record_shards import RecordShards
from tasks.shared.scratch import scratch_folder
from tasks.shared.store import Store
from tasks.shared.tracking import StageRun, Tracker
from tasks.stage_spec import StageResult, StageSpec, State, flatten, summary_points
from tasks.warm_start import EarlierRewards

# What the system says of a full disk, what it says of a full quota, and what NumPy makes of either.
_FULL = re.compile(r"No space left|Disk quota exceeded|\d+ requested and \d+ written")

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
        feedback_url: Database of people's feedback; may hold a password, so it goes nowhere else.
        data_endpoint: Address of the S3 server that datasets are read from, if there is one.
        earlier_reward: Gives the folder of an artifact of stage `reward`, by its key or its path.
        made: What the store's record says of how each input was made, by name: run ids, cost, time.
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
    feedback_url: str
    data_endpoint: str | None = None
    earlier_reward: Callable[[str], Path] = Path
    made: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def curve(self) -> Curve:
        """Keeps the points of the stage's loop."""
        return Curve(self.run.log, self.checkpoints)

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
        return Watch(self.curve.log, self.bar(description, total, unit), self.curve)

    def register(self, folder: Path) -> None:
        """Register a model folder under the name of the use case."""
        tags = {f"retort.input.{name}": ref.sha256 for name, ref in self.refs.items()}
        self.tracker.register_model(registered_name(self.config["name"]), folder, self.run, tags, SYSTEM)


class StoreCheckpoints:
    """Checkpoints under the stage's key in the store: whoever runs the stage next goes on from them."""

    def __init__(self, place: Place, store: Store, key: str, scratch: Path) -> None:
        """Remember where checkpoints go.

        Args:
            place: Tells of those that could not be kept or used.
            store: Where they are kept; a loop goes on without one if it is away for longer than a moment.
            key: Of the stage.
            scratch: Folder for files on their way.
        """
        self._place, self._store, self._key, self._scratch = place, store, key, scratch
        self._hurried = place.hurried().store()
        self.resumed = False

    def save(self, name: str, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Keep tensors and a JSON state, replacing what was kept under this name.

        While the store is away nothing is kept: the loop need not wait, and the next checkpoint replaces it.
        """
        path = self._scratch / f"{name}.safetensors"
        write_state(path, tensors, state)
        try:
            self._hurried.put_checkpoint(self._key, path.name, path)
        except StoreAwayError:
            self._place.tell(
                f"{self._key.partition('/')[0]}: the store is away; goes on without a checkpoint."
            )
        path.unlink()

    def load(self, name: str) -> tuple[Tensors, dict[str, Any]] | None:
        """What was kept last under this name, or None; damaged checkpoints are deleted."""
        path = self._scratch / f"{name}.safetensors"
        try:
            found = self._store.get_checkpoint(self._key, path.name, path)
        except CorruptArtifactError as error:
            self._store.drop_checkpoints(self._key)
            self._place.tell(f"Starts afresh, as its checkpoint is damaged: {error.problems[0]}")
            return None
        if not found:
            return None
        self.resumed = True
        saved = read_state(path)
        path.unlink()
        return saved


def execute(spec: StageSpec, place: Place) -> StageResult:
    """Give the stage's artifact: the one in the store, or a new one.

    One writer works on a key at a time; whoever waited finds the artifact when the other is done. So does
    whoever lost the key to another while this process was away.

    Raises:
        SetAsideError: An artifact that the stage reads is damaged; it has to be made anew first.
    """
    while True:
        try:
            return _execute(spec, place)
        except LeaseLostError:
            place.tell(f"{spec.stage}: another run took over while this one was away.")


def _execute(spec: StageSpec, place: Place) -> StageResult:
    started = time.monotonic()
    store = place.store()
    console = place.console()
    with store.lease(spec.key, on_wait=lambda: console.print(f"{spec.stage}: waiting for another run")):
        found = place.find(store, spec.key)
        if found is not None:
            run_id = (store.read_record(spec.key) or {}).get("run_id")
            return StageResult(ref=found, state="cached", seconds=_since(started), run_id=run_id)
        place.clear(store, spec.key)
        ref, state, run_id, cost = _compute(spec, place, store, console)
        seconds = _since(started)
        finished = datetime.now(UTC).isoformat(timespec="seconds")
        record = {
            "run_id": run_id,
            "flow_run": place.parent_run,
            "seconds": seconds,
            "state": state,
            "cost": cost,
            "finished_at": finished,
        }
        store.write_record(spec.key, record)
        store.drop_checkpoints(spec.key)
    return StageResult(ref=ref, state=state, seconds=seconds, run_id=run_id)


def _compute(
    spec: StageSpec, place: Place, store: Store, console: Console
) -> tuple[ArtifactRef, State, str | None, dict[str, Any]]:
    keep_freed_memory()
    module = importlib.import_module(spec.module)
    folders = {name: place.fetch(store, ref) for name, ref in spec.inputs.items()}
    tracker = place.tracker()
    tracker.open(spec.stage, {}, {}, resume_run_id=place.parent_run)
    with (
        metered() as spent,
        scratch_folder(place.home / WORK) as scratch,
        tracker.stage(spec.stage, spec.key, flatten(spec.config)) as run,
    ):
        out = scratch / "out"
        out.mkdir()
        checkpoints = StoreCheckpoints(place, store, spec.key, scratch)
        earlier = EarlierRewards(place)
        tell = partial(console.print, markup=False, soft_wrap=True)
        for name, ref in spec.inputs.items():
            run.dataset(name, ref.uri, ref.sha256, int(ref.summary.get("rows", 0)), "input")
        with ProgressBars(console) as bars, room_on_disk(place.home):
            context = StageContext(
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
                feedback_url(place.home),
                place.data_endpoint,
                earlier,
                {name: store.read_record(ref.key) or {} for name, ref in spec.inputs.items()},
            )
            summary = module.run(context)
            context.curve.write(out)
        parents = [*(ref.sha256 for ref in spec.inputs.values()), *earlier.digests]
        ref = store.commit(spec.key, spec.stage, out, parents, spec.config, summary)
        cost = spent().as_dict()
        run.metrics(summary_points(spec.stage, summary) | summary_points("cost", cost))
        return ref, "resumed" if checkpoints.resumed else "executed", run.id or None, cost


@contextmanager
def room_on_disk(home: Path) -> Iterator[None]:
    """Turn a full disk in the middle of a stage into an error that says what to do.

    Raises:
        DiskFullError: There is no room for what the stage writes; its checkpoints are as they were.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not _FULL.search(str(error)):
            raise
        free = shutil.disk_usage(home).free
        remedy = "Make room, then start the run again: it goes on from its last checkpoint."
        raise DiskFullError(
            Problem(str(home), f"{free:,} bytes free", "room for its files", remedy)
        ) from error


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
