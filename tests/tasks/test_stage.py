"""What a stage's surroundings do for it."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from configs.schema_platform import Resources
from tasks.place import Place
from tasks.shared.errors import DiskFullError, LeaseLostError, Problem, StoreAwayError
from tasks.shared.local_store import LocalStore
from tasks.shared.tracking import MemoryTracker
from tasks.stage import StageContext, StoreCheckpoints, execute, room_on_disk
from tasks.stage_spec import StageSpec

KEY = "distill/" + "a" * 64
PROBLEM = Problem("S3", "nothing", "an answer", "Wait.")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        SafetensorError("I/O error: No space left on device"),
    ],
)
def test_a_full_disk_says_what_to_do(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="goes on from its last checkpoint"), room_on_disk(tmp_path):
        raise error


def test_another_failure_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), room_on_disk(tmp_path):
        (tmp_path / "missing").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_recognised_in_what_numpy_says_of_it(tmp_path: Path) -> None:
    """NumPy drops the system's number and words, so that the run ended with a traceback."""
    with Path("/dev/full").open("wb") as full, pytest.raises(DiskFullError), room_on_disk(tmp_path):
        np.zeros(100_000).tofile(full)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_recognised(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFullError),
        room_on_disk(tmp_path),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(Place, "tracker", lambda self: MemoryTracker())
    return Place(home=tmp_path / "home", tracking_uri="sqlite:///none.db", experiment="none", quiet=True)


@pytest.fixture
def checkpoints(place: Place, tmp_path: Path) -> StoreCheckpoints:
    return StoreCheckpoints(place, place.store(), KEY, tmp_path)


def test_a_checkpoint_comes_back_and_counts_as_resumed(checkpoints: StoreCheckpoints) -> None:
    checkpoints.save("train", {"w": torch.ones(2)}, {"step": 3})
    assert not checkpoints.resumed
    saved = checkpoints.load("train")
    assert saved is not None
    assert (saved[0]["w"].tolist(), saved[1], checkpoints.resumed) == ([1.0, 1.0], {"step": 3}, True)


def test_a_stage_goes_on_without_a_checkpoint_while_the_store_is_away(
    checkpoints: StoreCheckpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkpoints.save("train", {}, {"step": 1})

    def away(*_: object) -> None:
        raise StoreAwayError(PROBLEM)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put_checkpoint", away)
        checkpoints.save("train", {}, {"step": 2})
    assert not list(tmp_path.glob("*.safetensors"))
    assert checkpoints.load("train") == ({}, {"step": 1})


def test_a_damaged_checkpoint_is_dropped_and_the_stage_starts_afresh(
    checkpoints: StoreCheckpoints, place: Place
) -> None:
    checkpoints.save("train", {}, {"step": 1})
    [stored] = [path for path in (place.home / "store" / "checkpoints").rglob("*") if path.is_file()]
    stored.write_bytes(b"?")
    assert checkpoints.load("train") is None
    assert not checkpoints.resumed
    assert not stored.exists()


Stage = Callable[[StageContext], dict[str, Any]]


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[[Stage], Any]:
    """Execute a function as a stage."""

    def run(stage: Stage) -> Any:
        monkeypatch.setitem(sys.modules, "a_stage", SimpleNamespace(run=stage))
        needs = Resources(gpus=0, cpus=1, memory_gib=1)
        spec = StageSpec(
            stage="distill", module="a_stage", key=KEY, config={}, inputs={}, external={}, resources=needs
        )
        return execute(spec, place)

    return run


def write(context: StageContext) -> dict[str, Any]:
    (context.out / "file").write_text("made")
    return {}


def test_who_lost_the_lease_waits_for_the_other_and_takes_that_artifact(
    run: Callable[[Stage], Any], place: Place, tmp_path: Path
) -> None:
    """It ended the run with an error: the stage of an hour had to be asked for again by hand."""
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "file").write_text("the other's")
    calls = []

    def overtaken(context: StageContext) -> dict[str, Any]:
        calls.append(1)
        place.store().commit(KEY, "distill", tmp_path / "others", [], {}, {})
        raise LeaseLostError(PROBLEM)

    result = run(overtaken)
    assert (result.state, calls) == ("cached", [1])
    assert (place.fetch(place.store(), result.ref) / "file").read_text() == "the other's"


def test_an_artifact_with_a_damaged_manifest_is_made_anew(run: Callable[[Stage], Any], place: Place) -> None:
    before = run(write)
    assert before.state == "executed"
    manifest = place.fetch(place.store(), before.ref) / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    again = run(write)
    assert (again.state, again.ref) == ("executed", before.ref)
    assert run(write).state == "cached"
    assert len(list((place.home / "store" / "quarantine").rglob("manifest.json"))) == 1


def test_what_a_stage_starts_from_is_a_parent_of_what_it_makes(
    run: Callable[[Stage], Any], place: Place, tmp_path: Path
) -> None:
    """It was none, so that nobody who followed parents heard of what a warm start had learnt."""
    earlier, key = tmp_path / "earlier", "reward/" + "b" * 64
    earlier.mkdir()
    (earlier / "file").write_text("learnt")
    ref = place.store().commit(key, "reward", earlier, [], {}, {})

    def warm(context: StageContext) -> dict[str, Any]:
        assert (context.earlier_reward(key) / "file").read_text() == "learnt"
        return write(context)

    assert run(warm).ref.parents == (ref.sha256,)
