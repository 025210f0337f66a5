"""Under which licence a model or a dataset stands, as its own metadata says; else that it does not say."""

import re
from importlib import metadata
from pathlib import Path

import yaml

from tasks.ml.teacher_source import PACKAGE, RANDOM

NOT_STATED = "not stated"
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_RIGHTS = re.compile(
    r"^[-* ]*\*{0,2}(?:rights|licen[cs]e)\*{0,2}\s*:\s*\**\s*(.+)$", re.IGNORECASE | re.MULTILINE
)


def licence_of(source: str) -> tuple[str, str]:
    """The licence of a source, and where that is said.

    Args:
        source: `package:NAME`, `random:NAME`, a file, a folder, or a name of something that is not here.

    Returns:
        The licence, `not stated` if none was found, and what was read; that is empty if nothing was.
    """
    if source.startswith(RANDOM):
        return "made here", "random weights"
    if source.startswith(PACKAGE):
        return _of_package(source.removeprefix(PACKAGE))
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    card = folder / "README.md"
    if path.exists() and card.is_file():
        return _of_card(card), str(card)
    return NOT_STATED, ""


def _of_package(name: str) -> tuple[str, str]:
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return NOT_STATED, ""
    # Asked first: with the backport `importlib_metadata` loaded, what is missing is a KeyError.
    stated = [found[field] for field in ("License-Expression", "License") if field in found]
    return next(filter(None, stated), NOT_STATED), f"metadata of the package {name} {found['Version']}"


def _of_card(card: Path) -> str:
    """The `license` of a card's front matter, else what its line `Rights` or `Licence` says."""
    text = card.read_text(encoding="utf-8", errors="replace")
    matter = _FRONT_MATTER.match(text)
    if matter:
        try:
            stated = yaml.safe_load(matter[1])
        except yaml.YAMLError:
            stated = None
        if isinstance(stated, dict) and stated.get("license"):
            licence = stated["license"]
            return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence)
    line = _RIGHTS.search(text)
    return line[1].strip(" *") if line else NOT_STATED
