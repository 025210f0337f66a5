"""What a run leaves for people: the closing table, `latest/summary.json`, the state of every stage."""

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.table import Table

from tasks.ml.closing import MODELS, closing_rows, not_people
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.disk import write_file
from tasks.shared.errors import DataError, Problem
from tasks.stage_spec import StageResult, State

_RUN_ID = re.compile(r"[0-9a-f]{4,64}")
_SHOWN = 5
SUMMARY = "summary.json"
RUNS = "runs"
LATEST = "latest"
# What a report artifact holds for people.
PAGES = ("report*.html", "report*.pdf", "slides*.pptx", "README*.md")


class StageOutcome(BaseModel):
    """What became of one stage in one run.

    Attributes:
        name: Name of the stage.
        state: Whether it was computed, found, or gone on with.
        seconds: What it took in this run.
        ref: Its artifact.
        run_id: The tracker's run in which it was computed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: State
    seconds: float
    ref: ArtifactRef
    run_id: str | None

    @classmethod
    def of(cls, name: str, ref: ArtifactRef, result: StageResult, cached: bool) -> "StageOutcome":
        """The outcome of a stage with its artifact; Prefect's `Cached` returns what an earlier run wrote."""
        state: State = "cached" if cached else result.state
        seconds = 0.0 if cached else result.seconds
        return cls(name=name, state=state, seconds=seconds, ref=ref, run_id=result.run_id)


def load_figures(place: Place, report: ArtifactRef) -> list[dict[str, Any]]:
    """The figures of a report artifact."""
    folder = place.fetch(place.store(), report)
    figures: list[dict[str, Any]] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["figures"]
    return figures


def save_latest(
    place: Place, report: ArtifactRef, outcomes: list[StageOutcome], seconds: float, run: str | None
) -> dict[str, Any]:
    """Write `latest/summary.json` and the pages beside it, and the run's own record; return the summary.

    Args:
        place: Where the run computed.
        report: Its report.
        outcomes: What became of its stages.
        seconds: What it took.
        run: The tracker's run; None if all was found: then it is the run that made the report.
    """
    store = place.store()
    folder = place.fetch(store, report)
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    made_in = (store.read_record(report.key) or {}).get("flow_run")
    summary["run"] = run or made_in or report.sha256[:32]
    summary["stages"] = [
        outcome.model_dump(mode="json", include={"name", "state", "seconds", "ref"}) for outcome in outcomes
    ]
    summary["seconds"] = round(seconds, 1)
    latest = place.home / "latest"
    latest.mkdir(parents=True, exist_ok=True)
    copy_pages(folder, latest)
    told = json.dumps(summary, indent=1).encode()
    write_file(latest / SUMMARY, told)
    record = place.home / RUNS / f"{summary['run']}.json"
    # What became of the stages when they were computed says more than that all was found again.
    if run is not None or not record.is_file():
        record.parent.mkdir(parents=True, exist_ok=True)
        write_file(record, told)
    return summary


def copy_pages(folder: Path, latest: Path) -> None:
    """Copy the pages of a report artifact, and delete those of an earlier run that this one has not."""
    for form in PAGES:
        for path in latest.glob(form):
            if not (folder / path.name).is_file():
                path.unlink()
        for path in folder.glob(form):
            write_file(latest / path.name, path.read_bytes())


def load_latest(home: Path) -> dict[str, Any]:
    """The summary of the last run that finished.

    Raises:
        DataError: No run has finished yet.
    """
    path = home / "latest" / SUMMARY
    if not path.is_file():
        raise DataError(
            Problem(str(path), "no such file", "the summary of a finished run", "Start one: `retort run`.")
        )
    summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return summary


def load_run(home: Path, run: str) -> dict[str, Any]:
    """The summary of a run.

    Args:
        home: Of the run.
        run: `latest`, a run's id or how it begins, or a path to a summary.

    Raises:
        DataError: There is no such run, or several begin so.
    """
    if run == LATEST:
        return load_latest(home)
    known = sorted((home / RUNS).glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    found = [path for path in known if path.stem.startswith(run)] if _RUN_ID.fullmatch(run) else []
    if not found and Path(run).is_file():
        found = [Path(run)]
    if len(found) != 1:
        got = f"{len(found)} runs that begin so" if found else "no such run, and no such file"
        newest = ", ".join(path.stem for path in known[:_SHOWN]) or "none yet"
        remedy = f"Name one of the last runs: {newest}."
        raise DataError(Problem(run, got, "`latest`, a run's id, or a summary's path", remedy))
    try:
        summary: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(
            Problem(str(found[0]), f"no JSON ({error})", "a summary", "Name another run.")
        ) from error
    if not isinstance(summary, dict) or "stages" not in summary:
        raise DataError(Problem(str(found[0]), "no `stages`", "the summary of a run", "Name another file."))
    return summary


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """The closing table, the stages, how the student was aligned, and a word about simulated feedback."""
    table = Table(title="Held-out questions, 95 % intervals", title_justify="left")
    table.add_column("")
    for model in MODELS:
        table.add_column(model.replace("_", " "), justify="right")
    for row in closing_rows(summary["figures"]):
        table.add_row(row["label"], *(cell.replace(" [", "\n[") for cell in row["cells"]))
    console.print(table, markup=False)
    stages = "  ".join(f"{s['name']} {s['state']} {s['seconds']:.0f} s" for s in summary["stages"])
    console.print(f"Stages: {stages}", highlight=False)
    console.print(f"Aligned by {summary['aligned_by']}.", highlight=False)
    if summary["ppo_alarm"]:
        words = f"PPO was stopped: {summary['ppo_alarm']}. The best weights from before were kept."
        console.print(words, highlight=False, markup=False)
    if summary.get("reward_card") not in (None, "go"):
        words = "Reward model: no better than a rule, or too few preferences to tell; the report says why."
        console.print(words, highlight=False)
    if summary["simulated_feedback"]:
        by = summary.get("feedback_by", "simulated annotators")
        console.print(f"Feedback: {by}, not people.", highlight=False)


def closing_markdown(figures: list[dict[str, Any]], feedback: dict[str, Any]) -> str:
    """The closing table for Prefect's page."""
    head = "| | " + " | ".join(model.replace("_", " ") for model in MODELS) + " |"
    lines = [head, "|---" * (len(MODELS) + 1) + "|"]
    lines += [f"| {row['label']} | " + " | ".join(row["cells"]) + " |" for row in closing_rows(figures)]
    if feedback["simulated"]:
        makers = not_people(feedback)
        lines += ["", f"Feedback: {feedback['simulated']} judgements by {makers}, not by people."]
    return "\n".join(lines)
