"""Reads and writes YAML by the few rules that a configuration needs; it knows nothing of the schema.

Scalars follow YAML 1.2: `1e-4` is a number, and `no`, `on`, `010` and `1:30` are text, which the schema then
takes or refuses. Anchors, aliases and tags are refused: a person must see at once what a key is set to.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from configs.errors import Problem

KeyPath = tuple[str, ...]
"""The names of the keys that lead to a value."""

COMMAND_LINE = "command line"
"""The place of a value that an override states."""

_TAG = "tag:yaml.org,2002:"
_RESOLVERS = [
    (f"{_TAG}null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    (f"{_TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    (f"{_TAG}int", re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,17})$"), list("-+0123456789")),
    (
        f"{_TAG}float",
        re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
        list("-+.0123456789"),
    ),
]


@dataclass
class Layer:
    """What one file or override states.

    Attributes:
        values: Nested mappings down to lists and scalars.
        origins: Where each key stands, as the user would look it up: `file:line`, or the command line.
        problems: What could not be read.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_yaml(text: str, name: str) -> Layer:
    """Read a document whose top is a mapping; whatever is wrong with it is in the layer's problems.

    Args:
        text: The document.
        name: What to call it in problems and origins.
    """
    layer = Layer()
    try:
        top = _compose(text)
    except yaml.YAMLError as error:
        layer.problems.append(_syntax_problem(error, text, name))
        return layer
    if isinstance(top, yaml.MappingNode):
        layer.values = _mapping(top, (), layer, name)
    elif top is not None and top.tag != f"{_TAG}null":
        expected = "lines of the form `section:` and `key: value`"
        layer.problems.append(Problem(name, "no keys", expected, "Rewrite the file in that form."))
    return layer


def read_value(text: str, key: KeyPath) -> Layer:
    """Read one value of the command line, a scalar or a list in brackets, as a layer with this one key."""
    layer = Layer(origins={key[:length]: COMMAND_LINE for length in range(1, len(key) + 1)})
    try:
        node = _compose(text)
    except yaml.YAMLError:
        got = f"`{text}` ({COMMAND_LINE})"
        remedy = f"Text with special characters needs two kinds of quotes: '{'.'.join(key)}=\"…\"'."
        layer.problems.append(Problem(".".join(key), got, "a scalar or list in plain YAML", remedy))
        return layer
    inner = None if node is None else _plain(node, key, layer, COMMAND_LINE)
    for part in reversed(key[1:]):
        inner = {part: inner}
    layer.values = {key[0]: inner}
    return layer


def write_yaml(values: dict[str, Any]) -> str:
    """Write nested plain values so that `read_yaml`, and readers of YAML 1.1, give them back unchanged."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Loader(yaml.SafeLoader):
    """Reads scalars by YAML 1.2."""

    yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would not read as text."""


for _resolver in _RESOLVERS:
    _Loader.add_implicit_resolver(*_resolver)
    _Dumper.add_implicit_resolver(*_resolver)


def _number(text: str) -> float | int | str:
    """Read a decimal or scientific number; `2e3` is whole, and one too large for a float stays text."""
    value = float(text)
    if not math.isfinite(value):
        return text
    return int(value) if "." not in text and value.is_integer() else value


_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_TAG}null": lambda text: None,
    f"{_TAG}bool": lambda text: text.lower() == "true",
    f"{_TAG}int": int,
    f"{_TAG}float": _number,
    f"{_TAG}str": str,
}


def _compose(text: str) -> yaml.Node | None:
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            mark = event.start_mark
            raise yaml.MarkedYAMLError(problem="an anchor, alias or tag", problem_mark=mark)  # type: ignore[arg-type]
    return yaml.compose(text, Loader=_Loader)


def _plain(node: yaml.Node, path: KeyPath, layer: Layer, name: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, layer, name)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, str(position)), layer, name) for position, item in enumerate(node.value)]
    return _SCALARS[node.tag](node.value)


def _mapping(node: yaml.MappingNode, path: KeyPath, layer: Layer, name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = f"{name}:{key_node.start_mark.line + 1}"
        if key_node.tag != f"{_TAG}str":
            layer.problems.append(Problem(place, "a key that is not text", "a name", "Quote the key."))
            continue
        key_path = (*path, key_node.value)
        if key_node.value in values:
            got = f"two values, at {layer.origins[key_path]} and at {place}"
            layer.problems.append(Problem(".".join(key_path), got, "one value", "Delete one of the two."))
        layer.origins[key_path] = place
        values[key_node.value] = _plain(value_node, key_path, layer, name)
    return values


def _syntax_problem(error: yaml.YAMLError, text: str, name: str) -> Problem:
    remedy = "Mend the syntax there; text with special characters belongs in quotes."
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        place = f"{name}:{error.problem_mark.line + 1}:{error.problem_mark.column + 1}"
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        return Problem(place, reason, "plain YAML", remedy)
    before = text[: getattr(error, "position", 0)]
    place = f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return Problem(place, "a control character", "plain YAML", "Delete the character.")
