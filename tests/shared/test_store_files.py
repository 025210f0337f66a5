"""A store seen as files: sizes, ages, and what becomes of folders that are left empty."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.shared import s3_bucket
from tasks.shared.s3_bucket import Bucket
from tasks.shared.store_files import BucketFiles, FolderFiles

if TYPE_CHECKING:
    from tests.conftest import S3Server


def write(path: Path, size: int, age: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age,) * 2)


def test_files_of_a_folder_have_their_size_and_age(tmp_path: Path) -> None:
    write(tmp_path / "records/b/2.json", 3, 50)
    write(tmp_path / "records/a/1.json", 5, 9000)
    write(tmp_path / "leases/a/1", 1, 0)
    first, second = FolderFiles(tmp_path).walk("records")
    assert (first.place, first.bytes, second.place, second.bytes) == (
        "records/a/1.json",
        5,
        "records/b/2.json",
        3,
    )
    assert first.age == pytest.approx(9000, abs=20)
    assert second.age == pytest.approx(50, abs=20)
    assert list(FolderFiles(tmp_path / "none").walk("records")) == []


def test_a_file_from_the_future_is_new(tmp_path: Path) -> None:
    write(tmp_path / "records/a/1.json", 1, -5000)
    [file] = FolderFiles(tmp_path).walk("records")
    assert file.age == 0


def test_empty_folders_go_where_nobody_writes(tmp_path: Path) -> None:
    """A writer makes the folder of a record, then the file: between the two the folder must not vanish."""
    for place in ("quarantine/a/1-1/deep/x", "records/a/1.json"):
        write(tmp_path / place, 1, 0)
        FolderFiles(tmp_path).remove(place)
        FolderFiles(tmp_path).remove(place)
    assert not list((tmp_path / "quarantine").iterdir())
    assert (tmp_path / "records/a").is_dir()


@pytest.mark.service
def test_objects_have_their_size_and_age(s3_server: "S3Server", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_bucket, "PAGE_KEYS", 2)
    bucket = Bucket(s3_server.bucket, s3_server.endpoint)
    for number in range(5):
        bucket.write(f"aged/{number}", b"x" * number)
    time.sleep(2)
    files = list(BucketFiles(bucket).walk("aged"))
    assert [(file.place, file.bytes) for file in files] == [(f"aged/{n}", n) for n in range(5)]
    assert all(0.9 < file.age < 60 for file in files)
    BucketFiles(bucket).remove("aged/3")
    assert bucket.keys("aged/") == ["aged/0", "aged/1", "aged/2", "aged/4"]


@pytest.mark.service
def test_the_server_tells_its_time(s3_server: "S3Server") -> None:
    told = Bucket(s3_server.bucket, s3_server.endpoint).clock()
    assert told is not None
    assert abs(told.timestamp() - time.time()) < 5
    assert Bucket("none-such", s3_server.endpoint).clock() is None
