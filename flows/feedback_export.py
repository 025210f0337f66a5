"""Export of feedback for other tools; what a format cannot hold is counted by its reason."""

import gzip
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest
from tasks.feedback.events import FeedbackEvent, standing
from tasks.feedback.exchange.argilla import records_text, why_not_in_argilla
from tasks.feedback.exchange.event_rows import as_dataset, csv_text, why_not_in_cells
from tasks.feedback.exchange.label_studio import tasks_text, why_not_in_label_studio
from tasks.feedback.exchange.tables import pairs_text, why_no_pairs
from tasks.shared.disk import disk_errors, move_folder, write_file

DATASETS = "datasets"


@dataclass(frozen=True)
class Writer:
    """A format of one file: its text, and why it cannot hold an event."""

    text: Callable[[Sequence[FeedbackEvent]], str]
    why_not: Callable[[FeedbackEvent], str]


def json_lines(events: Sequence[FeedbackEvent]) -> str:
    """Events as JSON lines."""
    return "".join(event.model_dump_json() + "\n" for event in events)


def anything(_: FeedbackEvent) -> str:
    """Why a format that holds every event does not hold one: never."""
    return ""


WRITERS = {
    "events": Writer(json_lines, anything),
    "csv": Writer(csv_text, why_not_in_cells),
    "label-studio": Writer(tasks_text, why_not_in_label_studio),
    "argilla": Writer(records_text, why_not_in_argilla),
    "pairs": Writer(pairs_text, why_no_pairs),
}


@dataclass(frozen=True)
class Exported:
    """What an export came to: how many events are in the file, and why others are not."""

    written: int
    left_out: Counter[str]


def export_feedback(events: Sequence[FeedbackEvent], target: Path, form: str) -> Exported:
    """Write events as a file, gzipped if its name ends in .gz, or as a folder of the `datasets` library.

    Of `pairs`, only the events that hold are written: what an annotator took back is no preference.

    Raises:
        ConfigError: There is no such format, nothing to write, or something of that name already.
        StoreError: It cannot be written.
    """
    _check(events, target, form)
    if form == DATASETS:
        _save(events, target)
        return Exported(len(events), Counter())
    writer = WRITERS[form]
    held = standing(events) if form == "pairs" else list(events)
    left_out = Counter(reason for event in held if (reason := writer.why_not(event)))
    # Adding drops a count of zero.
    left_out += Counter({"replaced by a later event": len(events) - len(held)})
    kept = [event for event in held if not writer.why_not(event)]
    data = writer.text(kept).encode()
    write_file(target, gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)
    return Exported(len(kept), left_out)


def _save(events: Sequence[FeedbackEvent], target: Path) -> None:
    from datasets import disable_progress_bars

    disable_progress_bars()
    with disk_errors(target, 0):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            as_dataset(events).save_to_disk(part)
            move_folder(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _check(events: Sequence[FeedbackEvent], target: Path, form: str) -> None:
    known = (*WRITERS, DATASETS)
    problems = []
    if form not in known:
        remedy = did_you_mean(nearest(form, known), "Name one of them.")
        problems.append(Problem("--format", f"`{form}`", f"one of {', '.join(known)}", remedy))
    if not events:
        problems.append(Problem("feedback", "no event", "events to export", "Collect or import some first."))
    if target.exists():
        remedy = "Name another, or remove it."
        problems.append(Problem(str(target), "something of that name", "a new file or folder", remedy))
    if problems:
        raise ConfigError(problems)
