"""PPO as processes: killed again and again, or two that share the work, it ends as one undisturbed does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("ppo_run.py")


def start(folder: Path, launcher: tuple[str, ...] = (), **arguments: Any) -> int:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, *launcher, str(SCRIPT), json.dumps({"folder": str(folder), **arguments})]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def said(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / "outcome.json").read_text())
    return answer


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    start(folder)
    return folder


def test_killed_three_times_it_ends_with_the_same_bits(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    # In the first update, before any checkpoint; in the middle of a later one; in the last.
    for die_at in (2, 11, 4):
        assert start(folder, die_at=die_at) == -signal.SIGKILL
    assert start(folder) == 0
    ours, theirs = (load_file(one / "weights.safetensors") for one in (folder, undisturbed))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert said(folder)["figures"] == said(undisturbed)["figures"]
    assert len(said(folder)["points"]) < len(said(undisturbed)["points"])


def test_two_processes_take_the_steps_of_one(undisturbed: Path, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", "--local_addr=127.0.0.1")
    assert start(tmp_path / "two", launcher, workers=True) == 0
    assert [said(folder)["workers"] for folder in (tmp_path / "two", undisturbed)] == [2, 1]
    ours, theirs = (said(folder)["points"] for folder in (tmp_path / "two", undisturbed))
    assert len(ours) == len(theirs) == 5
    for own, other in zip(ours, theirs, strict=True):
        exact = {name: value for name, value in other.items() if name != "tokens_per_second"}
        assert {name: own[name] for name in exact} == pytest.approx(exact, abs=1e-4)
    assert "loss/policy" in ours[0]
