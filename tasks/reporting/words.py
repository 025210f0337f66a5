"""What pages say, in each language: one file of messages a language beside the templates."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from tasks.reporting.writing import SHARE, Writer

TEMPLATES = Path(__file__).parents[1] / "templates"
LANGUAGES = ("en", "fr")
_NARROW = "\u202f"


class Words:
    """The messages of one language.

    Attributes:
        language: Its code.
        writer: Writes its numbers and dates.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.writer = Writer(language)
        self._messages = messages(language)

    def __call__(self, key: str, **parts: object) -> str:
        """A message with its gaps filled.

        Raises:
            KeyError: There is no such message, or it has a gap that was not given.
        """
        return self._messages[key].format_map(parts)

    def known(self, key: str, otherwise: str) -> str:
        """A message without gaps, or what to say where there is none."""
        return self._messages.get(key, otherwise)

    def metric(self, name: str) -> str:
        """What a metric is called; one that nobody has named is shown as it stands in the tracker."""
        if named := self._messages.get(f"metric.{name}"):
            return named
        kind, _, rest = name.partition("_")
        if kind == "accuracy" and f"task.{rest}" in self._messages:
            return self("metric.accuracy_of", task=self.task(rest))
        return name.replace("_", " ")

    def measured(self, name: str, unit: str) -> str:
        """A metric with its unit, which the names of those that somebody named say themselves."""
        if not unit or unit == SHARE or f"metric.{name}" in self._messages:
            return self.metric(name)
        return f"{self.metric(name)} ({self.unit(unit)})"

    def model(self, name: str) -> str:
        """What a model is called."""
        return self.known(f"model.{name}", name.replace("_", " "))

    def task(self, name: str) -> str:
        """What a family of questions is called."""
        return self.known(f"task.{name}", name.replace("_", " "))

    def unit(self, name: str) -> str:
        """What a unit is called; nothing for shares, whose numbers bear a percent sign."""
        return self.known(f"unit.{name}", name)


@cache
def messages(language: str) -> Mapping[str, str]:
    """All messages of a language, by dotted key."""
    text = (TEMPLATES / f"words.{language}.yaml").read_text(encoding="utf-8")
    found = _flat(yaml.safe_load(text))
    if language == "fr":
        # No line begins with a sign that ends what stands before it.
        return {key: re.sub(r"(?<=«) | (?=[:;?!»])", _NARROW, one) for key, one in found.items()}
    return found


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat
