"""What a stage's surroundings do for it."""

import errno
import os
from pathlib import Path

import pytest
from safetensors import SafetensorError

from tasks.shared.errors import DiskFullError
from tasks.stage import room_on_disk


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), SafetensorError("I/O error: No space left on device")],
)
def test_a_full_disk_says_what_to_do(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="goes on from its last checkpoint"), room_on_disk(tmp_path):
        raise error


def test_another_failure_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), room_on_disk(tmp_path):
        (tmp_path / "missing").read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_recognised(tmp_path: Path) -> None:
    with (
        pytest.raises(DiskFullError),
        room_on_disk(tmp_path),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
