"""A home in which runs are disturbed: start them, kill them, and tell what was lost or computed twice."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import BenchmarkError
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError, canonical_json, sha256_bytes
from tasks.shared.env import export
from tasks.shared.local_store import LocalStore
from tasks.shared.services import client_settings, find_services
from tasks.shared.store import Store

ROOT = Path(__file__).parents[1]
STAGES = ("clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate", "assess", "report")
# What these make is the same to the last bit; later ones measure how fast the models answer.
EXACT = STAGES[:7]
COSTS = (
    "tokens_per_second",
    "speedup_over_teacher",
    "latency",
    "latency_median",
    "latency_p95",
    "energy",
    "inference_memory",
)
COMMAND = ("-m", "flows.cli")
# Loops that are long enough to be killed in their middle. The score stage keeps some 64 answers at a time; a
# pass holds one sheet, so that what is left after a kill is scored in the very passes that it would have had.
OVERRIDES = (
    "data.single_sheets.train=20",
    "score.token_budget=64",
    "score.share=1",
    "distill.token_budget=1024",
    "distill.row_tokens=1024",
    "distill.checkpoint_seconds=0",
    "ppo.updates=4",
    "ppo.checkpoint_seconds=0",
)
HUNG_SECONDS = 900
_POLL_SECONDS = 0.005

Run = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Execution:
    """One time that a stage was begun: MLflow's run, the stage's key, and how it ended."""

    run: str
    key: str
    status: str


@dataclass
class Home:
    """A folder with all state of some runs.

    Attributes:
        folder: The folder.
        platform: `embedded` or `local`.
        variables: Environment variables of its runs, beside the usual.
        twice: Keys of artifacts that were computed again though they were finished.
        lost: Keys of artifacts that were finished and then gone, or others.
        leases: Sizes of the lock files when `note_leases` was called.
    """

    folder: Path
    platform: str = "embedded"
    variables: Mapping[str, str] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    leases: dict[Path, int] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """What its commands wrote on standard error and output."""
        return self.folder.with_suffix(".log")

    def start(self, program: Sequence[str] = COMMAND) -> Run:
        """Start `retort run`."""
        overrides = ["configs/smoke.yaml", "--quiet", "--platform", self.platform, *OVERRIDES]
        return self.command("run", *overrides, program=program)

    def command(self, *arguments: str, program: Sequence[str] = COMMAND) -> Run:
        """Start the command `retort`, in a session of its own."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        own = {"HOME": str(self.folder.parent), "RETORT_HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=ROOT,
                env={**kept, **own, "OMP_NUM_THREADS": "1", "COLUMNS": "300", **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self, *runs: Run) -> None:
        """Wait for runs to end well.

        Raises:
            BenchmarkError: One failed or hung.
        """
        for run in runs:
            try:
                code = run.wait(HUNG_SECONDS)
            except subprocess.TimeoutExpired:
                kill(run)
                code = None
            if code != 0:
                said = self.log.read_text(errors="replace")[-3000:]
                raise BenchmarkError("run", f"exit code {code}\n{said}", "0", f"Look at {self.log}.")

    @contextlib.contextmanager
    def watched(self, damaged: Sequence[str] = ()) -> Iterator[None]:
        """Note what the runs in the block lose or compute again of what is finished and not damaged."""
        finished = {key: ref.sha256 for key, ref in self.finished().items() if key not in damaged}
        known = {execution.run for execution in self.executions()}
        yield
        new = [execution for execution in self.executions() if execution.run not in known]
        ended = Counter(execution.key for execution in new if execution.status == "FINISHED")
        self.twice += [execution.key for execution in new if execution.key in finished]
        self.twice += [key for key, times in ended.items() if times > 1 and key not in finished]
        now = self.finished()
        self.lost += [key for key, sha256 in finished.items() if key not in now or now[key].sha256 != sha256]

    def finished(self) -> dict[str, ArtifactRef]:
        """All artifacts with a readable manifest, by key."""
        store = self.store()
        found: dict[str, ArtifactRef] = {}
        for key in store.list_artifacts():
            with contextlib.suppress(CorruptArtifactError):
                ref = store.find(key)
                found |= {key: ref} if ref else {}
        return found

    def store(self) -> Store:
        """Where its artifacts are."""
        if self.platform == "embedded":
            return LocalStore(self.folder / "store")
        services = find_services(self.folder)
        if services is None:
            raise BenchmarkError(str(self.folder), "no answer of its servers", "all three", "Look at logs/.")
        export(client_settings(self.folder, services))
        return Place(
            home=self.folder,
            s3_endpoint=services.s3_endpoint,
            s3_bucket=services.buckets[0],
            tracking_uri=services.mlflow_url,
            experiment="none",
        ).store()

    def executions(self) -> list[Execution]:
        """Every stage that a run began to compute here, as MLflow has it."""
        database = self.folder / "mlflow.db"
        query = (
            "select t.run_uuid, t.value, r.status from tags t join runs r on r.run_uuid = t.run_uuid"
            " where t.key = 'retort.key'"
        )
        if not database.exists():
            return []
        # Not read-only: after a kill in the middle of a write, whoever opens the file first has to undo it.
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=60)) as lines:
            made = lines.execute("select 1 from sqlite_master where name = 'tags'").fetchone()
            return [Execution(*row) for row in lines.execute(query)] if made else []

    def summary(self) -> dict[str, Any]:
        """The summary of the last run that finished."""
        summary: dict[str, Any] = json.loads((self.folder / "latest" / "summary.json").read_text())
        return summary

    def refs(self) -> dict[str, ArtifactRef]:
        """The artifacts of the last run that finished, by stage."""
        return {stage["name"]: ArtifactRef.model_validate(stage["ref"]) for stage in self.summary()["stages"]}

    def digests(self) -> dict[str, str]:
        """Digests of what the last run ended in: artifacts, each verified, and figures but those of costs."""
        store, refs = self.store(), self.refs()
        for ref in refs.values():
            store.fetch(ref)
        figures = [figure for figure in self.summary()["figures"] if figure["metric"] not in COSTS]
        exact = {stage: refs[stage].sha256 for stage in EXACT}
        return exact | {"figures": sha256_bytes(canonical_json(figures))}

    def await_stage(self, run: Run, stage: str) -> bool:
        """Wait until a run begins a stage; False if it ends before. Call `note_leases` before it starts."""
        while self._leases(stage).items() <= self.leases.items():
            if run.poll() is not None:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def note_leases(self) -> None:
        """Remember what the lock files are like, since a stage that begins makes or changes its own."""
        if self.platform == "embedded":
            # They are empty there, so only a new one shows it.
            shutil.rmtree(self.folder / "store" / "leases", ignore_errors=True)
        self.leases = self._leases("*")

    def _leases(self, stage: str) -> dict[Path, int]:
        area = self.folder / ("store" if self.platform == "embedded" else "cache/s3") / "leases"
        return {path: path.stat().st_size for path in area.glob(f"{stage}/*")}


def kill(run: Run) -> bool:
    """Take a run's life, with no chance to tidy up; False if it had ended before."""
    run.send_signal(signal.SIGKILL)
    return run.wait() == -signal.SIGKILL
