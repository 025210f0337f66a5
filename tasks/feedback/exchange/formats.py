"""The formats that feedback comes in: who reads each, what can be named in it, and how it is recognised."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.feedback.exchange.argilla import SUFFIX, read_record
from tasks.feedback.exchange.event_rows import FIELDS, read_event
from tasks.feedback.exchange.gather import gathered
from tasks.feedback.exchange.label_studio import read_task
from tasks.feedback.exchange.labels import MEANT, is_rank
from tasks.feedback.exchange.reading import Found, Item, Reader, Reading, read
from tasks.feedback.exchange.tables import (
    COMMON,
    read_comparisons,
    read_pair,
    read_ranking,
    read_ratings,
    read_thumbs,
)

SCALE = "scale"  # not a column, but what the source's ratings run from and to
SEVERAL = ("answers", "models", "answer", "model", "group")
TOOL = ("prompt", "context", "answers", "row", "task", "correction", "comment", SCALE, *MEANT)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        reader: What makes events of a row.
        fields: What `--map` can name.
        is_table: Whether the fields are the columns of the rows.
        names_ranks: Whether `--map` can name ranks too.
    """

    reader: Reader
    fields: tuple[str, ...]
    is_table: bool = True
    names_ranks: bool = False

    def can_name(self, field: str) -> bool:
        """Whether `--map` can give a name for a field of ours."""
        return field in self.fields or (self.names_ranks and is_rank(field))


FORMATS = {
    "events": Format(read_event, FIELDS),
    "label-studio": Format(read_task, (*TOOL, "items"), is_table=False, names_ranks=True),
    "argilla": Format(read_record, TOOL, is_table=False),
    "pairs": Format(read_pair, (*COMMON, "chosen", "rejected", "tie", "chosen_model", "rejected_model")),
    "comparisons": Format(read_comparisons, (*COMMON, "answers", "preferences")),
    "ratings": Format(read_ratings, (*COMMON, *SEVERAL, "ratings", "rating", SCALE)),
    "thumbs": Format(read_thumbs, (*COMMON, *SEVERAL, "up")),
    "rankings": Format(read_ranking, (*COMMON, *SEVERAL, "ranks", "rank")),
}
# Of each format, sets of columns that no other has; the first that are all there decide.
SIGNS: tuple[tuple[str, set[str]], ...] = (
    ("events", {"answers", "judgement", "annotator"}),
    ("label-studio", {"data", "annotations"}),
    ("argilla", {"fields", "responses"}),
    ("pairs", {"prompt", "chosen", "rejected"}),
    ("comparisons", {"prompt", "answers", "preferences"}),
    ("ratings", {"prompt", "answers", "ratings"}),
    ("ratings", {"prompt", "answer", "rating"}),
    ("rankings", {"prompt", "answers", "ranks"}),
    ("rankings", {"prompt", "answer", "rank"}),
    ("thumbs", {"prompt", "answers", "up"}),
    ("thumbs", {"prompt", "answer", "up"}),
)


def recognise(values: Mapping[str, Any], given: Mapping[str, str]) -> str | None:
    """The format of a row, by its columns under the names of `--map`; None if it has none that we know."""
    columns = {ours for ours, theirs in given.items() if theirs in values} | values.keys()
    if any(name.endswith(SUFFIX) for name in columns):
        return "argilla"
    return next((name for name, signs in SIGNS if signs <= columns), None)


def read_as(name: str, items: Iterable[Item], reading: Reading) -> Iterator[tuple[Item, Found]]:
    """What the rows of a format come to."""
    return read(gathered(items, name, reading.names), FORMATS[name].reader, reading)
