"""Who names artifacts: the models that were registered, and the pages of the last runs."""

import re
from pathlib import Path

from tasks.model_records import champion_of
from tasks.model_registry import ModelRegistry, registry_names
from tasks.place import Place

_KEY = re.compile(r"\b[a-z][a-z0-9_]*/[0-9a-f]{64}\b")


def named_by_models(place: Place) -> dict[str, str]:
    """The keys that the logs of models name, with which model it is.

    Raises:
        BrokenLogError: A log was changed, so that nobody can tell what it named.
    """
    named: dict[str, str] = {}
    for name in registry_names(place):
        entries = ModelRegistry(place, name).entries()
        champion = champion_of(entries)
        for entry in entries:
            version = entry.version
            words = f"model {version.number} of {name}"
            words += ", the champion" if champion and champion.number == version.number else ""
            named |= dict.fromkeys((ref.key for ref in version.refs.values()), words)
            if entry.evidence:
                named[entry.evidence] = f"why model {version.number} of {name} was {entry.act}"
    return named


def named_by_pages(home: Path) -> dict[str, str]:
    """The keys that the files of `latest/` name: the artifacts of the last runs that finished."""
    named: dict[str, str] = {}
    for path in sorted((home / "latest").glob("*.json")):
        keys = _KEY.findall(path.read_text(encoding="utf-8"))
        named |= dict.fromkeys(keys, f"the last run, by latest/{path.name}")
    return named
