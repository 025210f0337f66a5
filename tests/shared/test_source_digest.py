"""Digests of sources: they follow the content, and a memo never hides a change."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from tasks.shared import source_digest as module
from tasks.shared.errors import DataError
from tasks.shared.sources import source_digest


def settle(path: Path) -> None:
    """Wait until the file's times are past, as they are for all files but the newest."""
    past = time.time() - 60
    os.utime(path, (past, past))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read for their digest; files count as settled at once."""
    names: list[str] = []

    def reading(path: Path) -> str:
        names.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(module, "sha256_file", reading)
    monkeypatch.setattr(module, "_SETTLED_NANOSECONDS", -1)
    return names


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,b\n")
    assert source_digest(str(path), None) == f"sha256:{hashlib.sha256(b'a,b' + bytes([10])).hexdigest()}"


def test_the_same_content_elsewhere_has_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "b").write_text("b")
        (tmp_path / folder / "deep" / "a").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert source_digest("one", None) == source_digest(str(tmp_path / "two"), None)
    assert source_digest("one/b", None) == source_digest("two/b", None)


def test_a_folder_is_its_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "b").write_text("2")
    (folder / "a").write_text("1")
    one, two = (hashlib.sha256(text).hexdigest() for text in (b"1", b"2"))
    expected = hashlib.sha256(f'{{"a":"{one}","b":"{two}"}}'.encode()).hexdigest()
    first = source_digest(str(folder), None)
    assert first == f"tree:{expected}"
    (folder / "b").rename(folder / "c")
    assert source_digest(str(folder), None) != first
    (folder / "c").rename(folder / "b")
    (folder / "b").write_text("3")
    assert source_digest(str(folder), None) != first


def test_linked_files_count_and_linked_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "blob").write_text("1")
    (folder / "a").symlink_to(tmp_path / "blob")
    first = source_digest(str(folder), None)
    (tmp_path / "blob").write_text("2")
    assert source_digest(str(folder), None) != first
    (folder / "loop").symlink_to(folder)
    (folder / "nothing").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError) as caught:
        source_digest(str(folder), None)
    assert [Path(problem.what).name for problem in caught.value.problems] == ["loop", "nothing"]


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without files"):
        source_digest(str(tmp_path), None)


def test_what_has_not_changed_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    memo = tmp_path / "state" / "memo.json"
    path = tmp_path / "x.csv"
    path.write_text("a")
    assert source_digest(str(path), memo) == source_digest(str(path), memo)
    assert reads == ["x.csv"]
    assert source_digest(str(path), None) == source_digest(str(path), memo)
    assert reads == ["x.csv", "x.csv"]


@pytest.mark.parametrize("change", ["size", "date kept", "replaced"])
def test_a_change_is_always_seen(tmp_path: Path, reads: list[str], change: str) -> None:
    memo = tmp_path / "memo.json"
    path = tmp_path / "x.csv"
    path.write_text("a")
    before = source_digest(str(path), memo)
    status = path.stat()
    time.sleep(0.02)
    if change == "replaced":
        (tmp_path / "y").write_text("b")
        (tmp_path / "y").replace(path)
    else:
        path.write_text("b" if change == "date kept" else "longer")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source_digest(str(path), memo) != before


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    # Two writes within one tick of the clock leave the same times: only the content tells them apart.
    memo = tmp_path / "memo.json"
    path = tmp_path / "x.csv"
    path.write_text("a")
    source_digest(str(path), memo)
    assert not memo.exists()


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a")

    def reading(file: Path) -> str:
        file.write_text("longer")
        return "0"

    monkeypatch.setattr(module, "sha256_file", reading)
    with pytest.raises(DataError, match="being written"):
        source_digest(str(path), tmp_path / "memo.json")


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"x": 3}', b"\xff"])
def test_a_damaged_memo_only_costs_reading(tmp_path: Path, reads: list[str], damage: bytes) -> None:
    memo = tmp_path / "memo.json"
    path = tmp_path / "x.csv"
    path.write_text("a")
    memo.write_bytes(damage.replace(b"x", str(path).encode()))
    digest = source_digest(str(path), memo)
    assert digest == f"sha256:{hashlib.sha256(b'a').hexdigest()}"
    assert json.loads(memo.read_bytes())[str(path)][-1] == digest.removeprefix("sha256:")
    assert reads == ["x.csv"]


def test_the_memo_keeps_what_it_knew(tmp_path: Path, reads: list[str]) -> None:
    memo = tmp_path / "memo.json"
    for name in ("one", "two", "one", "two"):
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text(name)
        source_digest(str(tmp_path / name), memo)
    assert reads == ["one", "two"]


def test_a_missing_file_suggests_a_neighbour(tmp_path: Path) -> None:
    (tmp_path / "foods.csv").write_text("a")
    with pytest.raises(DataError, match=r"Did you mean `.*/foods\.csv`"):
        source_digest(str(tmp_path / "foods.cvs"), None)
