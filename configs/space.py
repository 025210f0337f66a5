"""Reads what a hyper-parameter search may vary, and checks it before anything is computed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest_key, shown_path
from configs.key_help import KeyDescription
from configs.layers import read_file
from configs.load import describe_run_keys, load_run_config
from configs.yaml_text import COMMAND_LINE

DEFAULT_SPACE = Path(__file__).parent / "tune.yaml"
# What decides the validation loss and leaves it comparable: the same questions, the same teacher.
SEARCHED = ("distill", "label", "score", "student")
FORMS = "`{low: 1, high: 9}`, with `log: true` if wanted, or `{choices: [a, b]}`"

Value = bool | int | float | str


@dataclass(frozen=True)
class Axis:
    """One key that is varied: between two bounds, or among choices.

    Attributes:
        key: The dotted key.
        low: Lowest value; None with choices.
        high: Highest value.
        log: Whether to look evenly over orders of magnitude.
        whole: Whether only whole numbers are taken.
        choices: The values to choose from; empty with bounds.
    """

    key: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[Value, ...] = ()

    def holds(self, value: Any) -> bool:
        """Whether the space reaches a value."""
        if self.low is None or self.high is None:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that are fit if all are: both bounds, or every choice."""
        return self.choices if self.low is None or self.high is None else (self.low, self.high)


def read_space(path: Path, profile: Path | None, overrides: Sequence[str]) -> tuple[Axis, ...]:
    """Read a space: a YAML file of dotted keys with `{low, high, log}` or `{choices}`.

    Args:
        path: The file.
        profile: The profile whose values are varied.
        overrides: Its overrides, as `load_run_config` takes them.

    Raises:
        ConfigError: Listing every key that is unknown or not searched, and every bound outside the schema's.
    """
    layer = read_file(path, [path])
    problems = list(layer.problems)
    known = {description.key: description for description in describe_run_keys()}
    axes = []
    for key, stated in layer.values.items():
        place = layer.origins[(key,)]
        found = _axis(key, stated, place, known)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            problems += _unfit_ends(found, place, profile, overrides)
            axes.append(found)
    if not axes and not problems:
        problems.append(Problem(shown_path(path), "no keys", f"lines of the form `key: {FORMS}`", "Add one."))
    if problems:
        raise ConfigError(problems)
    return tuple(axes)


def override(key: str, value: Value) -> str:
    """The override that sets a key to a value, as the command line takes it."""
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _axis(key: str, stated: Any, place: str, known: Mapping[str, KeyDescription]) -> Axis | Problem:
    searched = [name for name in known if name.partition(".")[0] in SEARCHED]
    if key not in known:
        remedy = did_you_mean(nearest_key(key, searched), "`retort config --keys` lists all keys.")
        return Problem(key, f"an unknown key ({place})", "a key of the schema", remedy)
    if key not in searched:
        got = f"a key that the validation loss does not depend on, or is not comparable over ({place})"
        return Problem(key, got, f"a key of {', '.join(SEARCHED)}", "Take it out.")
    fault = _fault(stated)
    if fault:
        return Problem(key, f"{fault} ({place})", FORMS, "Write it in that form.")
    if "choices" in stated:
        return Axis(key, choices=tuple(stated["choices"]))
    return Axis(key, stated["low"], stated["high"], stated.get("log", False), known[key].type == "int")


def _fault(stated: Any) -> str:
    """What is wrong with the form of an axis; the empty string if nothing is."""
    names = set(stated) if isinstance(stated, dict) else set()
    if names not in ({"choices"}, {"low", "high"}, {"low", "high", "log"}):
        return json.dumps(stated, ensure_ascii=False)
    if "choices" in stated:
        choices = stated["choices"]
        scalars = isinstance(choices, list) and all(isinstance(choice, Value) for choice in choices)
        return "" if scalars and len(choices) > 1 else "not two scalars or more to choose from"
    low, high, log = stated["low"], stated["high"], stated.get("log", False)
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        return "a bound that is no number"
    if low >= high:
        return f"a lower bound {low} that is not below the upper bound {high}"
    if not isinstance(log, bool):
        return "a `log` that is neither true nor false"
    if log and low <= 0:
        return f"`log: true` with a lower bound of {low}, not above 0"
    return ""


def _unfit_ends(axis: Axis, place: str, profile: Path | None, overrides: Sequence[str]) -> list[Problem]:
    """What the schema has against the ends of an axis."""
    problems: list[Problem] = []
    for end in axis.ends:
        try:
            load_run_config(profile, [*overrides, override(axis.key, end)])
        except ConfigError as error:
            problems += [_at(place, problem) for problem in error.problems]
    return problems


def _at(place: str, problem: Problem) -> Problem:
    """The problem with a value that stands in the space's file, not on the command line."""
    texts = {name: getattr(problem, name).replace(COMMAND_LINE, place) for name in ("got", "remedy")}
    return replace(problem, **texts)
