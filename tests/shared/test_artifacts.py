"""The manifest's one spelling, digests worked by hand, and what a folder must be."""

import hashlib
from pathlib import Path

import pytest

from tasks.shared.artifacts import (
    CorruptArtifactError,
    FileEntry,
    Manifest,
    canonical_json,
    checkpoint_place,
    describe_folder,
    make_manifest,
    parse_manifest,
    place,
    sha256_bytes,
    sha256_file,
    verify_artifact,
    verify_files,
)
from tasks.shared.errors import StageError, StoreError

KEY = "distill/" + "0" * 64
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def manifest_of(folder: Path, **changes: object) -> Manifest:
    parts = {
        "key": KEY,
        "kind": "student",
        "parents": (ABC,),
        "config": {"b": 1.0, "a": (1, 2)},
        "summary": {},
    }
    return make_manifest(folder=folder, **{**parts, **changes})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_bytes(b"abc")
    (tmp_path / "in" / "deep" / "empty.bin").write_bytes(b"")
    return tmp_path / "in"


def test_canonical_json_has_one_spelling() -> None:
    value = {"b": [1, 2.0, None, True], "a": "\u00e9", "c": {"y": 1e-7, "x": ()}}
    assert canonical_json(value) == b'{"a":"\\u00e9","b":[1,2.0,null,true],"c":{"x":[],"y":1e-07}}'


def test_canonical_json_names_everything_it_cannot_say() -> None:
    with pytest.raises(StageError) as caught:
        canonical_json({"loss": float("nan"), "ok": 1, "rows": [1, {2}], "map": {3: float("inf")}})
    assert [(problem.what, problem.got) for problem in caught.value.problems] == [
        ("value.loss", "nan"),
        ("value.rows[1]", "set"),
        ("value.map", "the key 3"),
        ("value.map.3", "inf"),
    ]


def test_digests_equal_the_published_ones(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == sha256_file(tmp_path / "abc") == ABC


def test_a_manifest_is_spelled_like_this(folder: Path) -> None:
    empty = hashlib.sha256().hexdigest()
    expected = (
        '{"config":{"a":[1,2],"b":1.0},"files":{'
        f'"a.txt":{{"bytes":3,"sha256":"{ABC}"}},"deep/empty.bin":{{"bytes":0,"sha256":"{empty}"}}}},'
        f'"key":"{KEY}","kind":"student","parents":["{ABC}"],"schema_version":1,"summary":{{}}}}'
    )
    manifest = manifest_of(folder)
    assert manifest.to_bytes() == expected.encode()
    assert manifest.size() == 3 + len(expected)
    reference = manifest.reference("file:///x")
    assert reference.sha256 == hashlib.sha256(expected.encode()).hexdigest()
    assert (reference.kind, reference.key, reference.parents) == ("student", KEY, (ABC,))


def test_a_manifest_survives_reading_back_with_its_digest(folder: Path) -> None:
    raw = manifest_of(folder).to_bytes()
    assert parse_manifest(raw, KEY, "here").to_bytes() == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"kind":"student"}',
        b'{"config":{},"files":{"../x":{"bytes":0,"sha256":"%s"}},"key":"%s","kind":"k","parents":[],"summary":{}}'
        % (ABC.encode(), KEY.encode()),
    ],
)
def test_what_is_no_manifest_is_corrupt(raw: bytes) -> None:
    with pytest.raises(CorruptArtifactError, match=r"here/manifest\.json.*Quarantine `distill/0"):
        parse_manifest(raw, KEY, "here")


def test_a_manifest_of_another_key_is_corrupt(folder: Path) -> None:
    other = "label/" + "1" * 64
    with pytest.raises(CorruptArtifactError, match=f"got the key {KEY}; expected {other}"):
        parse_manifest(manifest_of(folder).to_bytes(), other, "here")


def test_a_manifest_of_another_version_is_not_called_corrupt() -> None:
    with pytest.raises(StoreError, match="got schema version 2; expected 1") as caught:
        parse_manifest(b'{"schema_version":2,"new":true}', KEY, "here")
    assert not isinstance(caught.value, CorruptArtifactError)


def test_describe_folder_names_all_it_refuses(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")
    (folder / "link").symlink_to(folder / "a.txt")
    (folder / "bad\nname").write_text("")
    with pytest.raises(StoreError) as caught:
        describe_folder(folder)
    assert [problem.what for problem in caught.value.problems] == [
        f"{folder}/bad\nname",
        f"{folder}/link",
        f"{folder}/manifest.json",
    ]


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_describe_folder_refuses_one_without_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="got no file; expected at least one"):
        describe_folder(tmp_path / name)


def test_verify_files_names_every_damage(folder: Path) -> None:
    manifest = manifest_of(folder)
    verify_files(folder, manifest, "here")
    (folder / "a.txt").write_bytes(b"abd")
    (folder / "deep" / "empty.bin").unlink()
    (folder / "deep" / "more").write_bytes(b"")
    with pytest.raises(CorruptArtifactError) as caught:
        verify_files(folder, manifest, "here")
    abd = hashlib.sha256(b"abd").hexdigest()
    assert [(problem.what, problem.got, problem.expected) for problem in caught.value.problems] == [
        ("here/a.txt", f"3 bytes, sha256 {abd}", f"3 bytes, sha256 {ABC}"),
        ("here/deep/empty.bin", "no file", f"0 bytes, sha256 {hashlib.sha256().hexdigest()}"),
        ("here/deep/more", "a file", "none of that name in the artifact"),
    ]


def test_verify_artifact_wants_the_very_manifest_of_the_reference(folder: Path) -> None:
    reference = manifest_of(folder).reference("here")
    with pytest.raises(CorruptArtifactError, match="got no file"):
        verify_artifact(folder, reference, "here")
    (folder / "manifest.json").write_bytes(manifest_of(folder, summary={"loss": 1}).to_bytes())
    with pytest.raises(CorruptArtifactError, match=f"expected sha256 {reference.sha256}"):
        verify_artifact(folder, reference, "here")


@pytest.mark.parametrize(
    "key", ["", "distill", "distill/abc", "../" + "0" * 64, "distill/" + "G" * 64, KEY + "\n"]
)
def test_a_key_cannot_lead_elsewhere(key: str) -> None:
    with pytest.raises(StoreError, match="64 hexadecimal digits"):
        place("artifacts", key)


@pytest.mark.parametrize("name", ["", "..", "../x", "/x", "a//b", "./a", "a\\b", "a\x00"])
def test_a_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(StoreError, match="relative path"):
        place("artifacts", KEY, name)


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b"])
def test_a_checkpoint_is_one_plain_word(name: str) -> None:
    with pytest.raises(StoreError):
        checkpoint_place(KEY, name)


def test_places_are_these() -> None:
    assert place("artifacts", KEY, "deep/a.txt") == f"artifacts/{KEY}/deep/a.txt"
    assert checkpoint_place(KEY, "step-1.pt") == f"checkpoints/{KEY}/step-1.pt"


def test_a_file_entry_refuses_what_is_no_digest() -> None:
    with pytest.raises(ValueError, match="sha256"):
        FileEntry(sha256=ABC + "\n", bytes=3)


def test_a_summary_is_given_in_the_order_in_which_it_is_read_back(tmp_path: Path) -> None:
    # A report of stages just run showed them in another order than one of stages that were found.
    (tmp_path / "file").write_text("x")
    manifest = make_manifest("clean/" + "0" * 64, "clean", tmp_path, (), {}, {"b": 1, "a": {"d": 1, "c": 2}})
    stored = parse_manifest(manifest.to_bytes(), manifest.key, "shown")
    assert list(manifest.summary) == list(stored.summary) == ["a", "b"]
    assert list(manifest.summary["a"]) == ["c", "d"]
