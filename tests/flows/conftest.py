"""The real command in a process of its own, on a home of its own, watched in everything that it starts."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
WATCHED = Path(__file__).parent / "watched"
SMOKE = ROOT / "configs" / "smoke.yaml"


def _heed_interrupts() -> None:
    """A shell starts its background jobs with SIGINT ignored, and whoever they start inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Result:
    """How a command ended; texts without the breaks of a narrow terminal."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass(frozen=True)
class Retort:
    """The command `retort` with a home; `folder` is where it runs."""

    home: Path
    folder: Path = ROOT
    smoke: Path = SMOKE
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def events(self) -> Path:
        return self.home.parent / f"{self.home.name}.events"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command; in a session of its own, as a service would."""
        return self._start("-m", "flows.cli", *arguments)

    def __call__(self, *arguments: str) -> Result:
        """Run the command to its end."""
        return self._end(self.start(*arguments))

    def python(self, code: str) -> Result:
        """Run Python code in the same surroundings as the command."""
        return self._end(self._start("-c", code))

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        own = {
            "HOME": str(self.home.parent),
            "RETORT_HOME": str(self.home),
            "RETORT_TEST_EVENTS": str(self.events),
            "PYTHONPATH": os.pathsep.join((str(WATCHED), str(ROOT))),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "300",
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=inherited | own | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )

    def _end(self, process: subprocess.Popen[str]) -> Result:
        began = time.monotonic()
        with process:
            out, err = process.communicate()
        return Result(process.returncode, out, err, time.monotonic() - began)

    def noted(self, kind: str) -> list[str]:
        """What all processes of this home did of one kind: `network`, `process`, `import`."""
        lines = [line.split("\t", 2) for line in self.events.read_text().splitlines()]
        return [what for noted, _, what in lines if noted == kind]

    def forget_events(self) -> None:
        """Begin the notes anew."""
        self.events.unlink(missing_ok=True)

    def run_smoke(self, *overrides: str) -> Result:
        """Run the pipeline on tiny random models."""
        return self("run", str(self.smoke), "--quiet", *overrides)

    def kill_when(self, is_time: Callable[[], bool], *arguments: str) -> None:
        """Start the command and take its life, with no chance to tidy up, when it is time."""
        deadline = time.monotonic() + 240
        with self.start(*arguments) as process:
            while not is_time() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            process.kill()
            _, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err

    def states(self) -> dict[str, str]:
        """What the last finished run says of its stages."""
        summary = json.loads((self.home / "latest" / "summary.json").read_text())
        return {stage["name"]: stage["state"] for stage in summary["stages"]}

    def executed(self) -> set[str]:
        """The stages that the last finished run did not just find."""
        return {name for name, state in self.states().items() if state != "cached"}

    def manifests(self) -> dict[str, dict[str, Any]]:
        """The manifest of the one artifact that each stage has."""
        found = sorted((self.home / "store" / "artifacts").glob("*/*/manifest.json"))
        manifests = [json.loads(path.read_text()) for path in found]
        assert len({manifest["kind"] for manifest in manifests}) == len(manifests)
        return {manifest["kind"]: manifest for manifest in manifests}

    def manifest_digest(self, stage: str) -> str:
        """The sha256 of a stage's manifest, by which others name the artifact."""
        [path] = (self.home / "store" / "artifacts" / stage).glob("*/manifest.json")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def record(self, stage: str) -> dict[str, Any]:
        """What was written beside the one artifact of a stage."""
        [path] = (self.home / "store" / "records" / stage).iterdir()
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    def is_alone_within(self, seconds: float) -> bool:
        """Whether every process of this home has ended in time."""
        deadline = time.monotonic() + seconds
        while alive := self.survivors():
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return not alive

    def survivors(self) -> list[str]:
        """The command lines of the living processes that belong to this home."""
        return [" ".join(process.cmdline()) for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            living = process.status() != psutil.STATUS_ZOMBIE
            return living and process.environ().get("RETORT_HOME") == str(self.home)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


@pytest.fixture(scope="session")
def retort_at() -> Callable[[Path], Retort]:
    """Give the command on a home of one's choice."""
    return Retort


@pytest.fixture
def retort(tmp_path: Path) -> Retort:
    """The command on an empty home."""
    return Retort(tmp_path / "home")
