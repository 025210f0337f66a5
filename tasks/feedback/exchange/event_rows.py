"""Our own events as rows: loss-free, as JSON lines, as CSV, and as a `datasets` folder or Parquet.

In JSON lines a row is the event's own JSON. Elsewhere it has the same fields as columns; those of cells hold
the judgement as JSON, and in CSV the answers too. An empty cell is None where None is possible.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.exchange.reading import BadRow, Found, Reading, parsed
from tasks.feedback.exchange.said import check_time, what_is_wrong

if TYPE_CHECKING:
    from datasets import Dataset

FIELDS = tuple(FeedbackEvent.model_fields)
OPTIONAL = ("created_at", "comparison", "replaces")
ANSWERS = TypeAdapter(tuple[Shown, ...])


def read_event(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """An event of ours; its annotator is a pseudonym already and stays."""
    found = {reading.names.of(name): name for name in FIELDS}
    fields = {ours: values[theirs] for theirs, ours in found.items() if theirs in values}
    for name, kind in (("answers", list), ("judgement", dict)):
        fields[name] = parsed(fields.get(name), name, kind)
    for name in OPTIONAL:
        fields[name] = fields.get(name) or None
    try:
        event = FeedbackEvent.model_validate(
            {k: v for k, v in fields.items() if v is not None or k in OPTIONAL}
        )
    except ValidationError as error:
        raise BadRow(what_is_wrong(error)) from None
    check_time(event)
    yield event


def why_not_in_cells(event: FeedbackEvent) -> str:
    """Why a CSV file cannot hold an event; empty if it can."""
    if any(getattr(event, name) == "" for name in OPTIONAL):
        return "an empty text where None is meant by an empty cell"
    longest = max(len(str(cell)) for cell in event_cells(event).values())
    return "a cell too long for CSV readers" if longest >= csv.field_size_limit() else ""


def event_cells(event: FeedbackEvent) -> dict[str, Any]:
    """An event as cells of CSV."""
    cells = event.model_dump(mode="json")
    cells["answers"] = ANSWERS.dump_json(event.answers).decode()
    cells["judgement"] = event.judgement.model_dump_json()
    return cells


def csv_text(events: Iterable[FeedbackEvent]) -> str:
    """Events as CSV under a header."""
    out = io.StringIO(newline="")
    # The line ends of RFC 4180; with others, a lone return in a cell would not be quoted.
    writer = csv.DictWriter(out, FIELDS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(event_cells(event) for event in events)
    return out.getvalue()


def as_dataset(events: Iterable[FeedbackEvent]) -> "Dataset":
    """Events as a table of the `datasets` library."""
    from datasets import Dataset, Features, Value

    text = Value("string")
    shown = {"text": text, "model": text, "stopped": Value("bool")}
    columns: dict[str, Any] = dict.fromkeys(FIELDS, text)
    columns |= {"answers": [shown], "simulated": Value("bool")}
    rows = [
        event.model_dump(mode="json") | {"judgement": event.judgement.model_dump_json()} for event in events
    ]
    return Dataset.from_list(rows, features=Features(columns))
