"""What is done to runs: killed at random moments, robbed of their store, given damaged files, and more.

Each scenario returns a dictionary with the `digests` that its runs ended in, the keys `lost` and computed
`twice`, and what there is to tell. A scenario that is not possible here returns the reason as `skipped`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chaos_clock import DAY, Clock
from benchmarks.chaos_feedback import Posting
from benchmarks.chaos_home import ROOT, STAGES, Home, Run, kill
from benchmarks.chaos_relay import Cut, Relay
from benchmarks.harness import BenchmarkError, note
from tasks.shared.artifacts import MANIFEST_NAME
from tasks.shared.services import find_services, start_services

Found = dict[str, Any]

# Beyond what a brief outage is waited for, so that a stage has to outlast it.
LEAST_AWAY_SECONDS = 10
# Runs the command with S3 behind a relay; the servers themselves know nothing of it.
THROUGH_RELAY = """
from flows import places
find = places.find_services
places.find_services = lambda home: find(home).model_copy(update={{"s3_endpoint": {endpoint!r}}})
from flows.cli import main
main()
"""
# As it is uploaded by its own stage, and downloaded by the next.
BIG_FILE = r"/retort/artifacts/distill/[0-9a-f]+/model/model\.safetensors"


@dataclass
class Lab:
    """What scenarios share.

    Attributes:
        folder: Each has a folder of its own in it.
        draw: Draws the moments.
        reference: A home with one undisturbed run.
        away: Seconds that a killed S3 server is away.
    """

    folder: Path
    draw: random.Random
    reference: Home
    away: float

    def home(self, name: str, platform: str = "embedded") -> Home:
        """An empty home."""
        (self.folder / name).mkdir()
        return Home(self.folder / name / "home", platform)

    def copy(self, name: str) -> Home:
        """A copy of the home with the undisturbed run."""
        home = self.home(name)
        shutil.copytree(self.reference.folder, home.folder)
        return home


def found(home: Home, **told: Any) -> Found:
    """How a home ended."""
    return {"digests": home.digests(), "lost": home.lost, "twice": home.twice, **told}


def kills(lab: Lab, count: int) -> Found:
    """Kill runs of one home at random moments, while somebody judges on its page, which is killed too."""
    home = lab.home("kills")
    posting = Posting(home.folder)
    try:
        moments = strike(lab, home, count, posting)
    finally:
        events = posting.end()
    return found(home, kills=len(moments), moments=moments, events=events)


def served_kills(lab: Lab, home: Home, count: int) -> Found:
    """The same on the servers of `retort up`, where leases and artifacts are in S3."""
    moments = strike(lab, home, count)
    return found(home, kills=len(moments), moments=moments)


def strike(lab: Lab, home: Home, count: int, posting: Posting | None = None) -> list[str]:
    """Kill runs in random moments, spread over all stages, and let the last run end; gives the moments."""
    seconds = {stage["name"]: stage["seconds"] for stage in lab.reference.summary()["stages"]}
    extra = lab.draw.sample(STAGES, count % len(STAGES))
    places = sorted([*STAGES * (count // len(STAGES)), *extra], key=STAGES.index)
    moments: list[str] = []
    while len(moments) < count:
        stage = next_stage(home, places[len(moments)])
        home.note_leases()
        with home.watched():
            run = home.start()
            home.await_stage(run, stage)
            delay = lab.draw.uniform(0, seconds[stage])
            time.sleep(delay)
            killed = kill(run)
        if killed:
            moments.append(f"{stage} +{delay:.2f} s")
            note(f"killed: {moments[-1]}")
            if posting and len(moments) % 5 == 0:
                posting.kill_server()
    with home.watched():
        home.finish(home.start())
    return moments


def next_stage(home: Home, wanted: str) -> str:
    """The first stage from the one wanted on that is not done yet; if all are, that one is undone."""
    found = home.finished()
    later = STAGES[STAGES.index(wanted) :]
    done = {ref.kind for ref in found.values()}
    for stage in later:
        if stage not in done:
            return stage
    for key, ref in found.items():
        if ref.kind in later:
            home.store().delete(key)
    return wanted


def outage(lab: Lab, home: Home) -> Found:
    """Kill the S3 server in the middle of an upload, and again in the middle of a download.

    The home has a finished run, of which all from `distill` on is deleted first.
    """
    services = find_services(home.folder)
    assert services is not None
    store = home.store()
    for key, ref in home.finished().items():
        if ref.kind in STAGES[3:]:
            store.delete(key)
    returns: list[threading.Thread] = []
    times: list[float] = []

    def take_away() -> None:
        now = find_services(home.folder)
        assert now is not None
        os.kill(now.pids["s3"], signal.SIGKILL)
        returns.append(threading.Thread(target=come_back))
        returns[-1].start()

    def come_back() -> None:
        began = time.monotonic()
        time.sleep(lab.away)
        start_services(home.folder, lambda _name, _message: None)
        times.append(round(time.monotonic() - began, 1))

    cuts = [Cut(f"PUT {BIG_FILE}", True, take_away), Cut(f"GET {BIG_FILE}", False, take_away)]
    port = int(services.s3_endpoint.rpartition(":")[2])
    with home.watched(), Relay(port, cuts).serving() as endpoint:
        run = home.start(("-c", THROUGH_RELAY.format(endpoint=endpoint)))
        try:
            home.finish(run)
        finally:
            for thread in returns:
                thread.join()
    in_upload, in_download = (cut.done.is_set() for cut in cuts)
    return found(home, in_upload=in_upload, in_download=in_download, away_s=times)


@contextmanager
def servers(lab: Lab) -> Iterator[Home]:
    """A home whose servers run."""
    home = lab.home("served", "local")
    try:
        home.finish(home.command("up"))
        yield home
    finally:
        home.command("down").wait()


def damage(lab: Lab) -> Found:
    """Flip a bit of an artifact, of a manifest and of a checkpoint: one more run mends each."""
    home = lab.copy("damage")
    refs, store = home.refs(), home.store()
    for stage in ("ppo", "evaluate", "report"):
        store.delete(refs[stage].key)
    area = home.folder / "store" / "artifacts"
    flip(area / refs["distill"].key / "model" / "model.safetensors")
    flip(area / refs["label"].key / MANIFEST_NAME, 0)
    with home.watched([refs["distill"].key, refs["label"].key]):
        run = home.start()
        checkpoints = home.folder / "store" / "checkpoints" / refs["ppo"].key
        while not (kept := [path for path in checkpoints.glob("*/[!.]*") if path.is_file()]):
            if run.poll() is not None:
                raise BenchmarkError("run", f"code {run.returncode}", "a checkpoint", f"Look at {home.log}.")
            time.sleep(0.005)
        kill(run)
    for path in checkpoints.glob("*/[!.]*"):
        flip(path)
    with home.watched():
        home.finish(home.start())
    aside = {path.name for path in (home.folder / "store" / "quarantine").iterdir()}
    return found(home, set_aside=sorted(aside), checkpoints=len(kept))


def flip(path: Path, place: int | None = None) -> None:
    """Change one bit of a file, in its middle if not said otherwise."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place is None else place] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def at_once(lab: Lab) -> Found:
    """Start three runs on one empty home at once, and kill one of them in its middle."""
    home = lab.home("at_once")
    with home.watched():
        runs = [home.start() for _ in range(3)]
        home.await_stage(runs[0], "distill")
        time.sleep(lab.draw.uniform(0, 1))
        victim: Run = lab.draw.choice(runs)
        killed = kill(victim)
        home.finish(*(run for run in runs if run is not victim))
    return found(home, runs=len(runs), killed=int(killed))


def orchestrator(lab: Lab) -> Found:
    """Kill the Prefect server that a run has started, in the middle of the run."""
    home = lab.home("orchestrator")
    with home.watched():
        run = home.start()
        home.await_stage(run, "distill")
        victims = [child for child in psutil.Process(run.pid).children() if "--parent" in child.cmdline()]
        for victim in victims:
            victim.kill()
        home.finish(run)
    return found(home, servers_killed=len(victims))


def full_disk(lab: Lab, mib: int) -> Found:
    """Let a small disk fill up under a run, then make room and run again."""
    (lab.folder / "full_disk").mkdir()
    home = lab.folder / "full_disk" / "home"
    probe = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$0"', str(home.parent)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return {"skipped": "no disk can be mounted here"}
    command = ["unshare", "-rm", sys.executable, "-m", "benchmarks.chaos_disk", str(home), str(mib)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise BenchmarkError("full disk", ended.stderr[-2000:], "a run after room was made", "Mend it.")
    result: Found = json.loads(ended.stdout.splitlines()[-1])
    if result["exit_code"] == 0:
        raise BenchmarkError("full disk", f"room enough in {mib} MiB", "a full disk", "Lower --disk-mib.")
    return result


def clock(lab: Lab) -> Found:
    """Let the clock of a run and its server jump a day ahead in one stage and two days back in another."""
    if not Clock.can_be_had():
        return {"skipped": "no C compiler"}
    home = lab.home("clock")
    hands = Clock(home.folder.parent / "shim")
    home.variables = hands.variables
    with home.watched():
        run = home.start()
        jumps = []
        for stage, ahead in (("distill", DAY), ("reward", -DAY), ("evaluate", 0)):
            if home.await_stage(run, stage):
                hands.set_ahead(ahead)
                jumps.append(f"{stage}: {ahead:+} s")
        home.finish(run)
    return found(home, jumps=jumps)
