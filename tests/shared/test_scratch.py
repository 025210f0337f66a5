"""Scratch folders: the living are left alone, the dead are found."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tasks.shared.scratch import dead_scratch, remove_dead, scratch_folder

ROOT = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from tasks.shared.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "made").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""
HOUR = 3600.0


def make_old(folder: Path, seconds: float) -> None:
    os.utime(folder, (time.time() - seconds,) * 2)


def test_a_folder_goes_with_its_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "work") as folder:
        make_old(folder, HOUR)
        assert dead_scratch(tmp_path / "work") == []
        assert not remove_dead(folder)
        assert folder.is_dir()
    assert not list((tmp_path / "work").iterdir())


def test_only_what_a_killed_process_left_is_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        make_old(folder, HOUR)
        assert dead_scratch(tmp_path) == []
        process.kill()
    make_old(folder, 0)
    # It exists for a moment before its owner holds the lock.
    assert dead_scratch(tmp_path) == []
    make_old(folder, HOUR)
    assert dead_scratch(tmp_path) == [folder]
    assert remove_dead(folder)
    assert not folder.exists()
    assert not remove_dead(folder)


def test_a_folder_without_a_lock_may_be_an_older_version_s(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    make_old(tmp_path / "old", 23 * HOUR)
    assert dead_scratch(tmp_path) == []
    make_old(tmp_path / "old", 25 * HOUR)
    assert dead_scratch(tmp_path) == [tmp_path / "old"]
