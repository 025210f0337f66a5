"""What every store promises, asked of each kind: a folder, and a bucket of a real S3 server."""

import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.shared.artifacts import ArtifactRef, CorruptArtifactError, make_manifest
from tasks.shared.errors import StageError, StoreError
from tasks.shared.local_store import LocalStore
from tasks.shared.store import Store, copy_artifact

if TYPE_CHECKING:
    from tests.shared.conftest import Backend

KEY = "distill/" + "a" * 64
PARENT = "b" * 64
FILES = {"weights.bin": b"\x00\x01" * 5_000, "deep/er/notes \u00fc.txt": b"abc", "empty": b""}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def read_artifact(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    assert files.pop("manifest.json")
    return files


def commit(store: Store, folder: Path) -> ArtifactRef:
    return store.commit(KEY, "student", folder, [PARENT], {"steps": 3}, {"loss": 0.5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "work", FILES)


def test_a_new_store_is_empty_and_stays_so_when_asked(backend: "Backend", tmp_path: Path) -> None:
    store = backend.open()
    assert store.find(KEY) is None
    assert store.read_record(KEY) is None
    assert store.get_checkpoint(KEY, "last.pt", tmp_path / "last.pt") is False
    store.drop_checkpoints(KEY)
    store.quarantine(KEY, "nothing there")
    assert list(tmp_path.iterdir()) == []


def test_what_is_committed_is_found_and_fetched_elsewhere(backend: "Backend", folder: Path) -> None:
    committed = commit(backend.open(), folder)
    other = backend.open("elsewhere")
    found = other.find(KEY)
    assert found == committed
    assert read_artifact(other.fetch(committed)) == FILES
    assert (committed.kind, committed.key, committed.parents) == ("student", KEY, (PARENT,))
    assert committed.summary == {"loss": 0.5}
    assert committed.uri.endswith(f"artifacts/{KEY}")
    expected = {f"artifacts/{KEY}/{name}" for name in (*FILES, "manifest.json")}
    assert backend.places("artifacts") == expected


def test_the_reference_digests_the_stored_manifest(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    reference = commit(store, folder)
    raw = (store.fetch(reference) / "manifest.json").read_bytes()
    assert reference.sha256 == hashlib.sha256(raw).hexdigest()


def test_all_stores_give_the_same_digest(backend: "Backend", folder: Path, tmp_path: Path) -> None:
    here = commit(backend.open(), folder)
    assert commit(LocalStore(tmp_path / "other"), folder).sha256 == here.sha256


def test_the_first_commit_wins(backend: "Backend", folder: Path) -> None:
    first = commit(backend.open(), folder)
    write_files(folder, {"weights.bin": b"different", "new": b""})
    assert commit(backend.open("elsewhere"), folder) == first
    assert read_artifact(backend.open("elsewhere").fetch(first)) == FILES


def test_the_first_adoption_wins(backend: "Backend", folder: Path) -> None:
    first = backend.open().adopt(make_manifest(KEY, "student", folder, [], {}, {}), folder)
    write_files(folder, {"weights.bin": b"different"})
    second = make_manifest(KEY, "student", folder, [], {}, {})
    assert backend.open("elsewhere").adopt(second, folder) == first
    assert read_artifact(backend.open("elsewhere").fetch(first)) == FILES


def test_the_work_folder_is_not_shared_with_the_store(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    reference = commit(store, folder)
    with (folder / "weights.bin").open("r+b") as file:
        file.write(b"changed")
    assert read_artifact(store.fetch(reference)) == FILES


def test_a_commit_without_files_is_refused(backend: "Backend", tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="got no file"):
        commit(backend.open(), tmp_path / "missing")
    assert backend.places("artifacts") == set()


def test_a_summary_that_json_cannot_say_is_refused_before_anything_is_stored(
    backend: "Backend", folder: Path
) -> None:
    with pytest.raises(StageError, match=r"`summary\.loss`: got nan"):
        backend.open().commit(KEY, "student", folder, [], {}, {"loss": float("nan")})
    assert backend.places("artifacts") == set()


def test_a_corrupt_and_a_missing_file_are_named_with_their_digests(backend: "Backend", folder: Path) -> None:
    reference = commit(backend.open(), folder)
    backend.overwrite(f"artifacts/{KEY}/weights.bin", b"abc")
    backend.remove(f"artifacts/{KEY}/empty")
    with pytest.raises(CorruptArtifactError) as caught:
        backend.open().fetch(reference)
    empty, weights = sorted(caught.value.problems, key=lambda problem: problem.what)
    assert empty.what.endswith(f"artifacts/{KEY}/empty")
    assert empty.got == "no file"
    assert weights.what.endswith(f"artifacts/{KEY}/weights.bin")
    assert weights.got.endswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    assert weights.expected == f"10000 bytes, sha256 {hashlib.sha256(FILES['weights.bin']).hexdigest()}"
    assert f"Quarantine `{KEY}` and run again" in weights.remedy


@pytest.mark.parametrize("damage", [b"{}", b"", b'{"schema_version":1'])
def test_a_corrupt_manifest_is_not_taken_for_a_missing_one(
    backend: "Backend", folder: Path, damage: bytes
) -> None:
    store = backend.open()
    reference = commit(store, folder)
    backend.overwrite(f"artifacts/{KEY}/manifest.json", damage)
    for act in (lambda: store.find(KEY), lambda: commit(store, folder), lambda: store.fetch(reference)):
        with pytest.raises(CorruptArtifactError, match=r"manifest\.json"):
            act()


def test_a_forged_manifest_cannot_write_outside_its_folder(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    reference = commit(store, folder)
    raw = (store.fetch(reference) / "manifest.json").read_bytes()
    forged = raw.replace(b'"empty"', b'"../../../empty"')
    backend.overwrite(f"artifacts/{KEY}/manifest.json", forged)
    digest = hashlib.sha256(forged).hexdigest()
    with pytest.raises(CorruptArtifactError, match="no readable manifest"):
        store.fetch(reference.model_copy(update={"sha256": digest}))


def test_files_without_a_manifest_do_not_block_their_key(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    commit(store, folder)
    backend.remove(f"artifacts/{KEY}/manifest.json")
    assert store.find(KEY) is None
    (folder / "empty").unlink()
    left = {name: data for name, data in FILES.items() if name != "empty"}
    assert read_artifact(store.fetch(commit(store, folder))) == left


def test_a_file_that_changes_while_it_is_stored_stops_the_commit(backend: "Backend", folder: Path) -> None:
    manifest = make_manifest(KEY, "student", folder, [], {}, {})
    (folder / "weights.bin").write_bytes(b"abc")
    with pytest.raises(CorruptArtifactError, match=r"weights\.bin`: got 3 bytes"):
        backend.open().adopt(manifest, folder)
    assert backend.open().find(KEY) is None


def test_fetching_what_is_gone_says_so(backend: "Backend", folder: Path) -> None:
    reference = commit(backend.open(), folder)
    backend.open().quarantine(KEY, "test")
    with pytest.raises(CorruptArtifactError, match=r"manifest\.json`: got no file"):
        backend.open("elsewhere").fetch(reference)


def test_quarantine_moves_aside_and_frees_the_key(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    for number in (1, 2):
        commit(store, folder)
        store.quarantine(KEY, f"reason {number}")
        assert store.find(KEY) is None
        assert backend.places("artifacts") == set()
    expected = {f"quarantine/{KEY}-{n}/{name}" for n in (1, 2) for name in (*FILES, "manifest.json")}
    expected |= {f"quarantine/{KEY}-{n}.json" for n in (1, 2)}
    assert backend.places("quarantine") == expected
    assert read_artifact(store.fetch(commit(store, folder))) == FILES


def test_a_checkpoint_comes_back_and_is_replaced(backend: "Backend", tmp_path: Path) -> None:
    store, path, back = backend.open(), tmp_path / "step.pt", tmp_path / "back" / "step.pt"
    for data in (b"first" * 1_000, b"second"):
        path.write_bytes(data)
        store.put_checkpoint(KEY, "step.pt", path)
        assert backend.open("elsewhere").get_checkpoint(KEY, "step.pt", back) is True
        assert back.read_bytes() == data
    assert len(backend.places("checkpoints")) == 1
    assert store.get_checkpoint(KEY, "other.pt", back) is False
    assert [file.name for file in back.parent.iterdir()] == ["step.pt"]


def test_a_corrupt_checkpoint_is_not_written(backend: "Backend", tmp_path: Path) -> None:
    path = tmp_path / "step.pt"
    path.write_bytes(b"good")
    backend.open().put_checkpoint(KEY, "step.pt", path)
    [place] = backend.places("checkpoints")
    backend.overwrite(place, b"abc")
    path.write_bytes(b"mine")
    with pytest.raises(CorruptArtifactError, match="got sha256 ba7816bf") as caught:
        backend.open().get_checkpoint(KEY, "step.pt", path)
    assert hashlib.sha256(b"good").hexdigest() in caught.value.problems[0].expected
    assert path.read_bytes() == b"mine"
    assert not list(tmp_path.glob(".step.pt*"))


def test_dropping_checkpoints_spares_other_keys(backend: "Backend", tmp_path: Path) -> None:
    store, path = backend.open(), tmp_path / "x"
    path.write_bytes(b"x")
    other = "distill/" + "c" * 64
    for key, name in ((KEY, "a"), (KEY, "b"), (other, "a")):
        store.put_checkpoint(key, name, path)
    store.drop_checkpoints(KEY)
    assert [store.get_checkpoint(KEY, name, tmp_path / "y") for name in ("a", "b")] == [False, False]
    assert store.get_checkpoint(other, "a", tmp_path / "y") is True


def test_a_record_is_replaced_and_is_no_part_of_the_artifact(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    before = commit(store, folder)
    store.write_record(KEY, {"seconds": 1.5, "state": "running"})
    store.write_record(KEY, {"seconds": 2.5})
    assert backend.open("elsewhere").read_record(KEY) == {"seconds": 2.5}
    assert store.find(KEY) == before
    backend.overwrite(f"records/{KEY}.json", b"{")
    # No run should end for want of times and ids.
    assert store.read_record(KEY) is None


def test_a_lease_keeps_a_second_thread_waiting_and_tells_it_once(backend: "Backend") -> None:
    waiting, entered, calls = threading.Event(), threading.Event(), []

    def tell() -> None:
        calls.append(1)
        waiting.set()

    def second() -> None:
        with backend.open("elsewhere").lease(KEY, tell):
            entered.set()

    thread = threading.Thread(target=second)
    with backend.open().lease(KEY, lambda: pytest.fail("nobody else is there")):
        thread.start()
        assert waiting.wait(5)
        assert not entered.wait(0.3)
    assert entered.wait(5)
    thread.join()
    assert calls == [1]


def test_a_lease_of_another_key_does_not_wait(backend: "Backend") -> None:
    store = backend.open()
    with store.lease(KEY), store.lease("distill/" + "c" * 64, lambda: pytest.fail("waited")):
        pass


def test_an_artifact_is_adopted_with_its_record(backend: "Backend", folder: Path, tmp_path: Path) -> None:
    here, local = backend.open(), LocalStore(tmp_path / "local")
    assert copy_artifact(KEY, here, local) is None
    reference = commit(here, folder)
    here.write_record(KEY, {"seconds": 1.5})
    adopted = copy_artifact(KEY, here, local)
    assert adopted is not None
    assert adopted.sha256 == reference.sha256
    assert read_artifact(local.fetch(adopted)) == FILES
    assert local.read_record(KEY) == {"seconds": 1.5}
    here.quarantine(KEY, "test")
    again = copy_artifact(KEY, local, here)
    assert again == reference
    assert copy_artifact(KEY, here, local) == adopted


def test_a_damaged_artifact_is_not_adopted(backend: "Backend", folder: Path, tmp_path: Path) -> None:
    commit(backend.open(), folder)
    backend.overwrite(f"artifacts/{KEY}/weights.bin", b"abc")
    target = LocalStore(tmp_path / "local")
    with pytest.raises(CorruptArtifactError, match=r"weights\.bin"):
        copy_artifact(KEY, backend.open(), target)
    assert target.find(KEY) is None


def test_all_artifacts_are_listed_by_key(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    assert list(store.list_artifacts()) == []
    keys = [f"{stage}/{letter * 64}" for stage, letter in (("clean", "b"), ("clean", "d"), ("ppo", "a"))]
    # A manifest in a folder of an artifact's own is a file like any other.
    write_files(folder, {"model/notes.json": b"{}"})
    for key in reversed(keys):
        store.commit(key, "x", folder, [], {}, {})
    store.quarantine(keys[1], "test")
    assert list(backend.open("elsewhere").list_artifacts()) == [keys[0], keys[2]]
    # Half an artifact is none.
    backend.remove(f"artifacts/{keys[0]}/manifest.json")
    assert list(store.list_artifacts()) == [keys[2]]


def test_what_is_deleted_is_gone_with_its_checkpoints(
    backend: "Backend", folder: Path, tmp_path: Path
) -> None:
    store, other = backend.open(), "distill/" + "c" * 64
    reference = commit(store, folder)
    store.fetch(reference)
    store.commit(other, "student", folder, [], {}, {})
    (tmp_path / "x").write_bytes(b"x")
    for key in (KEY, other):
        store.put_checkpoint(key, "x", tmp_path / "x")
    store.delete(KEY)
    assert store.find(KEY) is None
    assert backend.places("artifacts") == {f"artifacts/{other}/{name}" for name in (*FILES, "manifest.json")}
    assert store.get_checkpoint(KEY, "x", tmp_path / "y") is False
    assert store.get_checkpoint(other, "x", tmp_path / "y") is True
    copies = [path for path in tmp_path.rglob("weights.bin") if KEY in path.as_posix()]
    assert copies == []
    store.delete(KEY)
    assert read_artifact(store.fetch(commit(store, folder))) == FILES


def test_the_quarantine_is_emptied_of_artifacts_alone(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    store.empty_quarantine()
    commit(store, folder)
    store.quarantine(KEY, "test")
    reference = commit(store, folder)
    namespace = "label/" + "e" * 64
    name = store.put_shard(namespace, b"kept")
    backend.overwrite(f"shards/{namespace}/{name}", b"lost")
    assert store.quarantine_shard(namespace, name)
    store.empty_quarantine()
    assert backend.places("quarantine") == {f"quarantine/shards/{namespace}/{name}"}
    assert read_artifact(store.fetch(reference)) == FILES
