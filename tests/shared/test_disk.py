"""Atomic writes and locks, where the stores' own tests do not reach."""

import os
import threading
from pathlib import Path

import pytest

from tasks.shared.disk import disk_errors, exclusive, move_folder, replacing, write_file
from tasks.shared.errors import DiskFullError, StoreError


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(TypeError), replacing(target) as out:
        out.writelines([b"half of the n", None])  # type: ignore[list-item]
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_replaced_in_a_folder_that_is_made(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        write_file(tmp_path / "deep" / "a", data)
        assert (tmp_path / "deep" / "a").read_bytes() == data
    assert os.listdir(tmp_path / "deep") == ["a"]


def test_what_the_system_refuses_names_the_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"file/a`: got .*File exists") as caught:
        write_file(tmp_path / "file" / "a", b"x")
    assert not isinstance(caught.value, DiskFullError)


def test_a_full_device_is_told_with_needed_and_free_bytes(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    with (
        pytest.raises(DiskFullError, match="expected 7 bytes") as caught,
        disk_errors(tmp_path / "not" / "there", 7),
        Path("/dev/full").open("wb", buffering=0) as device,
    ):
        device.write(b"x")
    told = int(caught.value.problems[0].got.removesuffix(" bytes free"))
    assert told == pytest.approx(free.f_bavail * free.f_frsize, rel=0.05)


def test_a_folder_is_not_moved_over_another(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    assert move_folder(tmp_path / "one", tmp_path / "two") is False
    assert (tmp_path / "two" / "file").read_text() == "two"
    assert move_folder(tmp_path / "one", tmp_path / "new" / "place") is True
    assert (tmp_path / "new" / "place" / "file").read_text() == "one"


def test_a_lock_excludes_other_threads_and_outlives_its_use(tmp_path: Path) -> None:
    waiting, order = threading.Event(), []

    def second() -> None:
        with exclusive(tmp_path / "lock", waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with exclusive(tmp_path / "lock") as note:
        note.write(b"note")
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert (tmp_path / "lock").read_bytes() == b"note"


def test_a_forked_child_does_not_keep_a_released_lock(tmp_path: Path) -> None:
    read, write = os.pipe()
    with exclusive(tmp_path / "lock"):
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    with exclusive(tmp_path / "lock", lambda: pytest.fail("the child holds it")):
        pass
    os.close(write)
    os.close(read)
    os.waitpid(child, 0)
