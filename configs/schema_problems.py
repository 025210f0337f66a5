"""Turns pydantic's errors about a configuration into problems with the key, its value and where it stands."""

import json
import re
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.errors import Problem
from configs.yaml_text import COMMAND_LINE, KeyPath, Layer

_NUMBER_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"}
_VALIDATOR_ERRORS = {"value_error", "assertion_error"}
_SHOWN_LENGTH = 80


def schema_problems(
    error: ValidationError, merged: Layer, unknown: Collection[str], complete: bool
) -> list[Problem]:
    """Describe all errors, those of one key as one problem.

    Args:
        error: What validating the merged values raised.
        merged: The values and where each comes from.
        unknown: The unknown keys that were taken out; a key missing beside one of them is the one meant.
        complete: Whether every layer could be read; if not, missing keys and contradictions mean nothing.
    """
    slipped = {key.rpartition(".")[0] for key in unknown}
    by_key: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        by_key.setdefault(_key_path(details, merged.values), []).append(details)
    problems: list[Problem] = []
    for path, errors in by_key.items():
        if errors[0]["type"] == "missing":
            problems += [_missing_problem(path)] if complete and ".".join(path[:-1]) not in slipped else []
        elif errors[0]["type"] in _VALIDATOR_ERRORS and isinstance(errors[0]["input"], dict):
            problems += [_contradiction(path, details, merged) for details in errors] if complete else []
        else:
            problems.append(_value_problem(path, errors, merged))
    return problems


def _key_path(details: ErrorDetails, values: dict[str, Any]) -> KeyPath:
    """Follow the error's location through the values, past the union members that pydantic names in it."""
    path: list[str] = []
    node: Any = values
    for part in details["loc"]:
        inside_list = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if inside_list or (isinstance(node, dict) and part in node):
            node = node[part]
            path.append(str(part))
    if details["type"] == "missing":
        path.append(str(details["loc"][-1]))
    return tuple(path)


def _missing_problem(path: KeyPath) -> Problem:
    key = ".".join(path)
    return Problem(key, "no value", "a value", f"State it in a YAML file, or give `{key}=value`.")


def _contradiction(path: KeyPath, details: ErrorDetails, merged: Layer) -> Problem:
    """Describe settings that are right one by one but not together; the schema's text names the keys."""
    text = _bare_message(details)
    named = [tuple(key.split(".")) for key in re.findall(r"`([\w.]+)`", text)]
    places = {merged.origins.get(key) or merged.origins.get((*path, *key)) for key in named} - {None}
    where = f" ({', '.join(sorted(map(str, places)))})" if places else ""
    got = f"a contradiction: {text}"
    return Problem(
        ".".join(path) or "configuration", got, "settings that agree", f"Change one of them{where}."
    )


def _value_problem(path: KeyPath, errors: list[ErrorDetails], merged: Layer) -> Problem:
    key = ".".join(path)
    place = _origin(path, merged)
    value = _value_at(path, merged.values)
    shown = json.dumps(value, ensure_ascii=False)
    if len(shown) > _SHOWN_LENGTH:
        shown = shown[:_SHOWN_LENGTH] + "…"
    expected = " or ".join(dict.fromkeys(_expected(details) for details in errors))
    types = {details["type"] for details in errors}
    remedy = "Change it there."
    if "bool_type" in types:
        remedy = "Write true or false there."
    elif "string_type" in types and isinstance(value, int | float):
        # The shell takes one pair of quotes away.
        remedy = f"Write '{key}=\"{shown}\"'." if place == COMMAND_LINE else "Put it in quotes there."
    return Problem(key, f"{shown} ({place})", expected, remedy)


def _expected(details: ErrorDetails) -> str:
    """Return pydantic's message as the end of a sentence that begins with "expected"."""
    if details["type"] == "extra_forbidden":
        return "a key of the schema"
    text = _bare_message(details)
    text = {"an object": "a section with keys", "a valid array": "a list"}.get(text, text)
    return f"a number {text}" if details["type"] in _NUMBER_BOUNDS else text


def _bare_message(details: ErrorDetails) -> str:
    return re.sub(r"^(Value error, |Assertion failed, |Input should be )", "", details["msg"])


def _origin(path: KeyPath, merged: Layer) -> str:
    """Return where the value stands, or the nearest mapping around it."""
    stated = (path[:length] for length in range(len(path), 0, -1))
    return next((merged.origins[key] for key in stated if key in merged.origins), "the schema's defaults")


def _value_at(path: KeyPath, values: dict[str, Any]) -> Any:
    node: Any = values
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node
