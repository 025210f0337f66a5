"""What a run leaves for people: the closing table, `latest/summary.json`, the state of every stage."""

import json
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

SUMMARY = "summary.json"
REPORT = "report.html"


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
    place: Place, report: ArtifactRef, outcomes: list[StageOutcome], seconds: float
) -> dict[str, Any]:
    """Write `latest/summary.json` and `latest/report.html` below the home folder; return the summary."""
    folder = place.fetch(place.store(), report)
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    summary["stages"] = [
        outcome.model_dump(mode="json", include={"name", "state", "seconds", "ref"}) for outcome in outcomes
    ]
    summary["seconds"] = round(seconds, 1)
    latest = place.home / "latest"
    latest.mkdir(parents=True, exist_ok=True)
    write_file(latest / REPORT, (folder / REPORT).read_bytes())
    write_file(latest / SUMMARY, json.dumps(summary, indent=1).encode())
    return summary


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
