"""The cache key of a stage: a digest of everything that decides its result, and of nothing else."""

import ast
from collections.abc import Collection, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from tasks.shared.artifacts import canonical_json, sha256_bytes

SCHEMA_VERSION = 1
ROOT = Path(__file__).resolve().parents[2]
# Code that decides results; the plumbing in tasks.shared moves them about without changing them.
PURE_PACKAGES = ("tasks.ml", "tasks.feedback", "tasks.reporting")
# Libraries whose version can change a weight or a metric.
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "peft", "trl", "bitsandbytes", "krippendorff")


def stage_key(
    stage: str,
    module: str,
    config: Mapping[str, object],
    inputs: Mapping[str, str],
    external: Mapping[str, str],
    files: Collection[str] = (),
) -> str:
    """The key under which a stage's artifact is kept.

    Args:
        stage: Name of the stage.
        module: Dotted name of the stage's module; it and the pure modules it imports are part of the key.
        config: The sections of the configuration that the stage reads.
        inputs: Digest of the manifest of each input artifact, by name.
        external: Digest of each input from outside the store (a dataset, a teacher), by name.
        files: Files of ours that the module reads, such as templates, by their path in the source tree.

    Returns:
        `<stage>/<sha256 of canonical JSON>`.
    """
    content = {
        "schema": SCHEMA_VERSION,
        "stage": stage,
        "config": config,
        "inputs": inputs,
        "external": external,
        "code": code_digests(module, files),
        "libraries": library_versions(),
    }
    return f"{stage}/{sha256_bytes(canonical_json(content))}"


@cache
def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that shape results."""
    return {name: metadata.version(name) for name in LIBRARIES}


def code_digests(module: str, files: Collection[str] = ()) -> dict[str, str]:
    """Digest of a stage's module, of each pure module that it imports, directly or not, and of its files."""
    paths = {name: _file(name) for name in import_closure(module)} | {name: ROOT / name for name in files}
    return {name: sha256_bytes(path.read_bytes()) for name, path in sorted(paths.items())}


def source_state() -> str:
    """Digest of everything below `tasks/` that a stage may load; it changes when somebody edits the code."""
    kinds = (".py", ".html", ".css", ".yaml", ".md")
    paths = sorted(path for path in (ROOT / "tasks").rglob("*") if path.suffix in kinds)
    return sha256_bytes(b"".join(path.as_posix().encode() + path.read_bytes() for path in paths))


def import_closure(module: str) -> set[str]:
    """The module itself and all pure modules that it reaches through imports, found in the source."""
    seen: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending += [found for found in imported_modules(_file(name)) if found.startswith(PURE_PACKAGES)]
    return seen


def imported_modules(path: Path) -> set[str]:
    """Dotted names of our own modules that a file imports, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if _exists(name)}


def _exists(name: str) -> bool:
    return name.split(".")[0] in ("configs", "flows", "tasks") and _file(name).is_file()


def _file(name: str) -> Path:
    return ROOT.joinpath(*name.split(".")).with_suffix(".py")
