"""Nights on the default case: from judgements on the real page to a decision, and what a night costs.

Needs the home of a finished `retort run`, or makes one. First, some nights in a row: champion and
challenger answer, simulated annotators judge on the page's API, and `retort nightly` learns from it and
decides. Then the cost: a night with 1 % new feedback beside the run, and the same with a history ten times as
long. A first night learns from the whole history and its challenger is made champion, whatever the gate says;
the second, which is measured, has the new feedback alone. The last line on stdout is the result, one JSON
object.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.feedback_server import ROOT
from benchmarks.harness import BenchmarkError, note, print_result
from benchmarks.simulated_people import judge_what_waits
from configs.load import load_run_config
from flows.last_run import LastRun, find_last
from flows.places import present_place
from flows.results import load_latest
from tasks.feedback.events import FeedbackEvent, load_events
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.ml.rows import load_rows
from tasks.model_registry import Candidate, ModelRegistry
from tasks.shared.env import Env, feedback_url

HOME = Path(".retort/benchmarks/nights")
HISTORIES = (1, 10)  # times the run's own feedback
NEW_SHARE = 0.01


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nights", description=__doc__)
    parser.add_argument("--home", type=Path, default=HOME, help="home of a finished run; made if missing")
    parser.add_argument("--nights", type=int, default=3, help="nights in a row")
    parser.add_argument("--questions", type=int, default=60, help="questions put to annotators before each")
    parser.add_argument("overrides", nargs="*", help="changes to the configuration of the nights")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the nights and count the costs."""
    base = options.home.absolute() / "run"
    if not (base / "latest" / "summary.json").is_file():
        note("a run of the default case")
        retort(base, "run", "--quiet")
    full = seconds_of_run(base)
    result: dict[str, Any] = {"full_retrain_s": round(full, 1)}
    result["nights"] = nights_in_a_row(base, options)
    result["cost"] = cost(base, options)
    one, ten = (result["cost"][f"history_x{factor}"]["seconds"] for factor in HISTORIES)
    result["night_over_full"] = round(one / full, 3)
    result["ten_times_history"] = round(ten / one, 3)
    return result


def seconds_of_run(home: Path) -> float:
    """What the stages of the last run took when each was computed, also if that was in an earlier run."""
    store = present_place(Env(home))[0].store()
    records = [store.read_record(stage["ref"]["key"]) for stage in load_latest(home)["stages"]]
    return sum(float(record["seconds"]) for record in records if record)


def nights_in_a_row(base: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """What each night decided; annotators judge before each."""
    home = copy_home(base, options.home.absolute() / "row")
    crown(home, 0)
    config = load_run_config(None, [])
    found = []
    for _ in range(options.nights):
        retort(home, "feedback", "ask", "--questions", str(options.questions), "--wanted", "3")
        rows = load_rows(artifact(home, "clean") / "rows.jsonl", "train")
        judged = judge_what_waits(feedback_url(home), home.parent, rows, config.feedback, config.seed)
        summary = night_of(home, options.overrides) | {"judgements": judged}
        found.append(
            {name: value for name, value in summary.items() if name != "stages"} | stage_seconds(summary)
        )
    return found


def cost(base: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """A night with 1 % new feedback, for histories of two lengths."""
    own = load_events(artifact(base, "feedback") / "events.jsonl")
    count = round(NEW_SHARE * len(own))
    found: dict[str, dict[str, Any]] = {}
    for factor in HISTORIES:
        home = copy_home(base, options.home.absolute() / f"history-{factor}")
        add(home, repeated(own, factor))
        crown(home, 0)
        first = night_of(home, options.overrides)
        retort(home, "models", "promote", str(first["challenger"]), "--reason", "knows the history")
        add(home, repeated(own[:count], 1, "new"))
        second = night_of(home, (f"nightly.least_events={count}", *options.overrides))
        named = {name: second[name] for name in ("new_events", "decision", "seconds")}
        found[f"history_x{factor}"] = named | stage_seconds(second) | {"history": factor * len(own)}
        if second["new_events"] != count or second["challenger"] is None:
            got = f"{second['new_events']} new events, {second['reason']}"
            raise BenchmarkError(home.name, got, f"a whole night from {count}", "Look at its MLflow run.")
    return found


def night_of(home: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """A night's summary."""
    summary: dict[str, Any] = json.loads(retort(home, "nightly", "--json", "--quiet", *overrides))
    note(f"{home.name}: {summary['seconds']} s, {summary['decision']}: {summary['reason']}")
    return summary


def crown(home: Path, watermark: int) -> None:
    """Make the run's model the champion, as one that has learnt from the store up to a sequence."""
    place, _ = present_place(Env(home))
    registry = ModelRegistry(place, "nutrition")
    refs = find_last(place, ("clean", "distill", "reward", "ppo"))
    candidate = Candidate(
        model=refs["ppo"],
        clean=refs["clean"],
        distill=refs["distill"],
        reward=refs["reward"],
        feedback="simulated",
        watermark=watermark,
    )
    registry.promote(registry.enter(candidate, "the run", "benchmark").number, "the first", "benchmark")


def repeated(events: Sequence[FeedbackEvent], times: int, mark: str = "old") -> list[FeedbackEvent]:
    """Events so many times, each time other annotators', and after the first of other questions."""
    return [
        event.model_copy(
            update={
                "id": f"{mark}-{turn}-{event.id}",
                "annotator": f"{mark}-{turn}-{event.annotator}",
                "row": f"{turn}-{event.row}" if turn else event.row,
            }
        )
        for turn in range(times)
        for event in events
    ]


def add(home: Path, events: Sequence[FeedbackEvent]) -> None:
    """Put events into a home's feedback store."""
    database = Database(feedback_url(home))
    try:
        EventStore(database).add(events)
    finally:
        database.close()


def copy_home(base: Path, target: Path) -> Path:
    """A home like another one, with its log of models, which MLflow mirrors; artifacts are linked."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(base, target, ignore=shutil.ignore_patterns("prefect", "store", "feedback.db*"))
    shutil.copytree(base / "store", target / "store", copy_function=os.link)
    return target


def artifact(home: Path, stage: str) -> Path:
    """The folder of a stage's artifact in the last run of a home."""
    return LastRun(Env(home)).fetch(stage)[0]


def stage_seconds(summary: dict[str, Any]) -> dict[str, Any]:
    """What each stage of a night took."""
    return {"stage_seconds": [[stage["name"], stage["seconds"]] for stage in summary["stages"]]}


def retort(home: Path, *arguments: str) -> str:
    """What the command prints in a home; its progress goes to stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "RETORT_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"retort {arguments[0]}", f"exit code {done.returncode}", "0", "See above.")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the result."""
    print_result(measure, parse(arguments))


if __name__ == "__main__":
    main()
