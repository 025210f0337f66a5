"""The pages of an earlier run, built again from its artifacts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from configs.schema_report import ReportConfig
from flows.graph import ALIGNED, ALIGNMENTS
from flows.places import present_place
from flows.results import load_run
from tasks.place import Place
from tasks.reporting.pages import Pages
from tasks.reporting.parts import Part
from tasks.reporting.pens import Links
from tasks.reporting.story import Story
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.env import Env
from tasks.shared.errors import DataError, Problem
from tasks.shared.mlflow_client import MLflowLine

REPORT, REPORTS, THEMES = "report", "reports", "themes.json"


def rebuild(env: Env, run: str, to: Path | None) -> list[Path]:
    """Write the pages of a run into a folder; gives their paths.

    Args:
        env: What the machine says.
        run: As `flows.results.load_run` takes it.
        to: The folder; made if missing. None: below the home.

    Raises:
        DataError: There is no such run, or the store does not hold all that it made any more.
    """
    place, _ = present_place(env)
    summary = load_run(env.home, run)
    parts = parts_of(place, summary)
    made = parts.pop(REPORT)
    config = config_of(place, made.ref)
    section = ReportConfig.model_validate(config[REPORT]) if REPORT in config else None
    name = str(summary.get("run") or made.ref.sha256)[:32]
    out = to or env.home / REPORTS / name
    out.mkdir(parents=True, exist_ok=True)
    pages = Pages(
        Story(str(config["name"]), parts),
        made.load(THEMES),
        section.languages if section else ("en", "fr"),
        ("html", *(form for form in section.formats if form != "html")) if section else ("html",),
        links_of(place, summary.get("run")),
        Console(stderr=True).print,
    )
    return pages.write(out)


def parts_of(place: Place, summary: Mapping[str, Any]) -> dict[str, Part]:
    """What the stages of a run left, verified, each as it came into that run.

    Raises:
        DataError: Naming every stage whose artifact is gone.
    """
    store = place.store()
    parts: dict[str, Part] = {}
    problems = []
    for stage in summary["stages"]:
        ref = place.find(store, stage["ref"]["key"])
        if ref is None or ref.sha256 != stage["ref"]["sha256"]:
            got = "its artifact is gone" if ref is None else "its artifact was made anew since"
            problems.append(Problem(stage["name"], got, "the artifact of that run", "Start that run again."))
            continue
        record = store.read_record(ref.key) or {}
        name = ALIGNED if stage["name"] in ALIGNMENTS else stage["name"]
        parts[name] = Part(place.fetch(store, ref), ref, record, stage["state"])
    if problems:
        raise DataError(problems)
    return parts


def config_of(place: Place, ref: ArtifactRef) -> Mapping[str, Any]:
    """The sections of the configuration that a stage read."""
    manifest = place.store().manifest(ref.key)
    return manifest.config if manifest else {}


def links_of(place: Place, run: str | None) -> Links:
    """Where the run can be looked at; nowhere without a server."""
    line = MLflowLine(place.tracking_uri)
    if not line.is_server or run is None:
        return Links()
    with line.told():
        experiment = line.client.get_experiment_by_name(place.experiment)
    return (
        Links(f"{line.uri.rstrip('/')}/#/experiments/{experiment.experiment_id}/runs")
        if experiment
        else Links()
    )
