"""The pieces of error messages that point the user to what was meant: near names, short paths."""

import difflib
from collections.abc import Collection
from pathlib import Path


def nearest(name: str, known: Collection[str]) -> str | None:
    """Return the known name that looks most like `name`; None if no one does."""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def nearest_key(key: str, known: Collection[str]) -> str | None:
    """Return the dotted key most like `key`; the right name in the wrong section counts as near."""
    namesakes = [candidate for candidate in known if _last_part(candidate) == _last_part(key)]
    if namesakes:
        return difflib.get_close_matches(key, namesakes, n=1, cutoff=0.0)[0]
    return nearest(key, known)


def did_you_mean(name: str | None, otherwise: str) -> str:
    """Return the question that suggests `name`, or `otherwise` if there is nothing to suggest."""
    return f"Did you mean `{name}`?" if name else otherwise


def shown_path(path: Path) -> str:
    """Return the path as short as the user would type it: relative to the working folder if below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path)


def _last_part(key: str) -> str:
    return key.rpartition(".")[2]
