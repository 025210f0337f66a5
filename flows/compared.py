"""Two runs side by side: what they were told, and what they measured."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.places import present_place
from flows.rebuilt import config_of, parts_of
from flows.results import load_run
from tasks.place import Place
from tasks.reporting.beside import set_beside
from tasks.reporting.parts import Part
from tasks.reporting.words import Words
from tasks.reporting.writing import Writer
from tasks.shared.env import Env
from tasks.stage_spec import flatten

Values = dict[str, Any]


def compare_runs(env: Env, first: str, second: str) -> Values:
    """What differs between two runs.

    Returns:
        `runs`: their ids; `config`: by key the two values, where they differ; `figures`: rows with `metric`,
        `model`, `first` and `second` (value, low, high), and where both runs put the same questions
        `difference` (value, low, high) of second less first, and `better`: `first`, `second` or None.

    Raises:
        DataError: A run is not there, or its artifacts are not.
    """
    place, _ = present_place(env)
    summaries = [load_run(env.home, run) for run in (first, second)]
    parts = [parts_of(place, summary) for summary in summaries]
    configs = [_config(place, own) for own in parts]
    keys = sorted(configs[0].keys() | configs[1].keys())
    differs = {key: [own.get(key) for own in configs] for key in keys}
    rows = set_beside(parts[0]["evaluate"], parts[1]["evaluate"])
    return {
        "runs": [summary.get("run") for summary in summaries],
        "config": {key: pair for key, pair in differs.items() if pair[0] != pair[1]},
        "figures": [row.as_dict() for row in rows],
    }


def _config(place: Place, parts: Mapping[str, Part]) -> Values:
    """All that the stages of a run read of its configuration, by dotted key."""
    found: Values = {}
    for part in parts.values():
        found |= flatten(config_of(place, part.ref))
    return found


def print_comparison(found: Mapping[str, Any]) -> None:
    """The configuration's differences, then one line a figure."""
    console, words = Console(), Words("en")
    config = Table("key", "first", "second", title="Configuration", title_justify="left")
    for key, (one, other) in found["config"].items():
        config.add_row(key, *("" if value is None else str(value) for value in (one, other)))
    if found["config"]:
        console.print(config, markup=False)
    else:
        console.print("Both runs had the same configuration.")
    table = Table("", "first", "second", "second less first", "better", title_justify="left")
    table.title = "Figures, 95 % intervals; differences paired by question"
    for row in found["figures"]:
        name = f"{words.metric(row['metric'])}, {words.model(row['model'])}"
        cells = [_interval(row[side], row["unit"], words.writer) for side in ("first", "second")]
        table.add_row(
            name, *cells, _interval(row["difference"], row["unit"], words.writer), row["better"] or ""
        )
    console.print(table, markup=False)


def _interval(found: Mapping[str, float] | None, unit: str, writer: Writer) -> str:
    if found is None:
        return ""
    value, low, high = (writer.number(found[name], unit) for name in ("value", "low", "high"))
    return value if low == high else f"{value} [{low}, {high}]"
