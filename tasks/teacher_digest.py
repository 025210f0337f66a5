"""Digests of the weights of teachers and students for cache keys, without loading a model library."""

from pathlib import Path

from tasks.ml.teacher_source import RANDOM, locate, looked_for_as
from tasks.shared.source_digest import source_digest


def teacher_digest(source: str, revision: str, memo: Path | None) -> str:
    """What the cache key holds of a teacher.

    Args:
        source: `package:NAME`, `random:NAME`, a GGUF file, a folder, or a Hugging Face id.
        revision: Of a Hugging Face id.
        memo: File that remembers digests of large files.

    Raises:
        TeacherNotFound: There is no such package or path.
    """
    path = locate(source)
    if path is not None:
        return source_digest(str(path), memo)
    return source if source.startswith(RANDOM) else f"{source}@{revision}"


def student_digest(source: str | None, revision: str, memo: Path | None) -> str:
    """What the cache key holds of a student that others trained.

    Args:
        source: As a teacher's; None for a student that is made here.
        revision: Of a Hugging Face id.
        memo: File that remembers digests of large files.

    Raises:
        TeacherNotFound: There is no such package or path; names `student.source`.
    """
    if source is None:
        return "made here"
    with looked_for_as("student.source"):
        return teacher_digest(source, revision, memo)
