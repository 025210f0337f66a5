"""The Hugging Face folder that a model is registered from: what it must hold, and its digest."""

from pathlib import Path

from configs.errors import Problem
from tasks.shared.artifacts import MANIFEST_NAME, canonical_json, sha256_bytes, sha256_file
from tasks.shared.errors import StageError

_NEEDED = ("config.json", "tokenizer.json", "*.safetensors")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")


def registered_name(use_case: str) -> str:
    """What MLflow's registered model of a use case is called."""
    return f"retort-{use_case}"


def check_model_folder(folder: Path) -> None:
    """Check that a folder can be served, and without running code from its files.

    Raises:
        StageError: Files are missing, or pickles are among them; all are named.
    """
    problems = [
        Problem(str(folder / pattern), "no such file", "a complete model", "Save model and tokenizer there.")
        for pattern in _NEEDED
        if not any(folder.glob(pattern))
    ]
    for path in sorted(folder.rglob("*")):
        if path.suffix in _PICKLES:
            problems.append(Problem(str(path), "a pickle", "safetensors only", "Save with safetensors."))
    if problems:
        raise StageError(problems)


def served_digest(folder: Path, system: str) -> str:
    """Digest of all that shapes a served model's answers: its files and its system message."""
    files = {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }
    return sha256_bytes(canonical_json({"files": files, "system": system}))
