"""Lays YAML files and overrides over one another and checks the result; the schema is a parameter.

Nothing else has a say: no environment variable is read. Whatever is wrong is reported at once.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest, nearest_key, shown_path
from configs.key_help import describe_keys, inner_sections, section_fields, takes_null
from configs.schema_problems import schema_problems
from configs.yaml_text import COMMAND_LINE, KeyPath, Layer, read_value, read_yaml

Model = TypeVar("Model", bound=BaseModel)


def read_layers(model: type[Model], files: Sequence[Path], overrides: Sequence[str] = ()) -> Model:
    """Lay files and overrides over one another, later over earlier, and check the result.

    Mappings are merged key by key; any other value, a list too, replaces the earlier one. Contradictions
    between keys show only when every layer can be read and the keys in question are right by themselves.

    Args:
        model: The schema.
        files: YAML files, weakest first.
        overrides: Texts of the form `section.key=value`, the value in YAML; stronger than all files.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    layers = [read_file(path, files) for path in files] + [_read_override(text) for text in overrides]
    unread = [problem for layer in layers for problem in layer.problems]
    unknown: list[Problem] = []
    merged = Layer()
    for layer in layers:
        unknown += _drop_unknown_keys(layer, model)
        _merge(merged.values, layer.values)
        merged.origins |= layer.origins
    problems = unread + unknown
    try:
        config = model.model_validate_json(json.dumps(merged.values), strict=True)
    except ValidationError as error:
        slips = {problem.what for problem in unknown}
        raise ConfigError(problems + schema_problems(error, merged, slips, complete=not unread)) from error
    if problems:
        raise ConfigError(problems)
    return config


def read_file(path: Path, files: Sequence[Path]) -> Layer:
    """Read one YAML file; what is wrong with it is in the layer's problems.

    Args:
        path: The file.
        files: All that are read; if this one is missing, what lies beside them is suggested.
    """
    name = shown_path(path)
    try:
        return read_yaml(path.read_text(encoding="utf-8-sig"), name)
    except FileNotFoundError:
        problem = _missing_file_problem(path, {file.parent for file in files})
    except UnicodeDecodeError as error:
        got = f"a byte that is not UTF-8 at position {error.start}"
        problem = Problem(name, got, "text in UTF-8", "Save the file as UTF-8.")
    except OSError as error:
        problem = Problem(name, str(error.strerror), "a YAML file", "Give a file that you may read.")
    return Layer(problems=[problem])


def _missing_file_problem(path: Path, folders: Collection[Path]) -> Problem:
    there = {other.stem: shown_path(other) for folder in folders for other in folder.glob("*.yaml")}
    near = there.get(nearest(path.stem, there) or "")
    remedy = did_you_mean(near, "Give the path of one of them, or of a file of yours.")
    return Problem(shown_path(path), "no such file", f"one of {', '.join(sorted(there.values()))}", remedy)


def _read_override(text: str) -> Layer:
    dotted, equals, value = text.partition("=")
    key = tuple(dotted.strip().split("."))
    if equals and all(key):
        return read_value(value, key)
    got = f"no key and value ({COMMAND_LINE})"
    return Layer(problems=[Problem(text, got, "`section.key=value`", "Write it in that form.")])


def _drop_unknown_keys(layer: Layer, model: type[BaseModel]) -> list[Problem]:
    """Take out the keys that the schema does not have, so that a slip in one hides no other problem."""
    unknown: list[KeyPath] = []
    layer.values = _known_part(layer.values, [model], (), unknown)
    if not unknown:
        return []
    keys = {description.key for description in describe_keys(model)}
    sections = {key.rpartition(".")[0] for key in keys} - {""}
    return [_unknown_key_problem(path, layer, keys | sections) for path in unknown]


def _known_part(
    values: Mapping[str, Any], models: Sequence[type[BaseModel]], path: KeyPath, unknown: list[KeyPath]
) -> dict[str, Any]:
    """Return the values whose keys the sections have; collect the paths of the others in `unknown`."""
    fields = section_fields(models)
    known: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            unknown.append(_only_path(value, (*path, name)))
            continue
        sections = inner_sections(fields[name])
        if sections and value is None and not takes_null(fields[name]):
            value = {}  # a section whose lines are all commented out
        is_section = bool(sections) and isinstance(value, dict)
        known[name] = _known_part(value, sections, (*path, name), unknown) if is_section else value
    return known


def _only_path(value: Any, path: KeyPath) -> KeyPath:
    """Follow a mapping down while it has a single key: the last part of `pppo.steps` tells what was meant."""
    while isinstance(value, dict) and len(value) == 1:
        name, value = next(iter(value.items()))
        path = (*path, name)
    return path


def _unknown_key_problem(path: KeyPath, layer: Layer, known: Collection[str]) -> Problem:
    key = ".".join(path)
    remedy = did_you_mean(nearest_key(key, known), "`retort config --keys` lists all keys.")
    return Problem(key, f"an unknown key ({layer.origins[path]})", "a key of the schema", remedy)


def _merge(values: dict[str, Any], stronger: Mapping[str, Any]) -> None:
    for name, value in stronger.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value
