"""Import of feedback: rows are opened here, understood in tasks.feedback.exchange, and stored."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from configs.errors import ConfigError, Problem
from configs.hints import did_you_mean, nearest
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.formats import FORMATS, SCALE, read_as, recognise
from tasks.feedback.exchange.reading import Item, Reading, Remark, numbered
from tasks.feedback.exchange.storing import Sorted, sort_out
from tasks.feedback.judgements import Choice, Ranking, Ratings, Skip
from tasks.feedback.store.event_store import EventStore
from tasks.shared.disk import write_file
from tasks.shared.errors import DataError
from tasks.shared.source_files import find_path, open_rows
from tasks.shared.source_formats import RowStream, excerpt
from tasks.shared.source_saved import open_saved_rows

AUTO = "auto"
CLASH = "another event is known under this id"
SHOWN_REASONS = 5


@dataclass(frozen=True)
class Source:
    """A file of feedback and how to read it.

    Attributes:
        path: A file of rows, or a folder of the `datasets` library.
        reading: How its rows are to be understood.
        format: One of `FORMATS`, or `auto`.
        only: Column to value: rows with other values are left out.
    """

    path: str
    reading: Reading
    format: str = AUTO
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """What is set aside.

    Attributes:
        line: Where the row begins, from 1; where there are no lines, its number.
        item: The number of the row in the file, from 1.
        reason: What is wrong with it.
        raw: The whole row.
    """

    line: int
    item: int
    reason: str
    raw: str


@dataclass
class Tally:
    """What an import came to, in rows, events and people."""

    format: str = ""
    rows: int = 0
    left_out: int = 0
    columns: set[str] = field(default_factory=set)
    read: list[tuple[Item, FeedbackEvent]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)
    new: int = 0
    known: int = 0
    repeated: int = 0
    withdrawn: int = 0
    set_aside: Path | None = None

    @property
    def events(self) -> list[FeedbackEvent]:
        """The events, in the order of the rows."""
        return [event for _, event in self.read]

    @property
    def ties(self) -> int:
        """Pairs of answers that an annotator called equal."""
        return sum(map(count_ties, self.events))

    @property
    def skips(self) -> int:
        """Events in which the annotator could not judge."""
        return sum(isinstance(event.judgement, Skip) for event in self.events)

    @property
    def annotators(self) -> int:
        """Who judged."""
        return len({event.annotator for event in self.events})

    def reasons(self) -> list[str]:
        """Why rows were set aside, the most frequent first."""
        found = Counter(row.reason for row in self.rejected)
        first = {row.reason: row for row in reversed(self.rejected)}
        return [
            f"{count} times: {excerpt(reason)}; first on line {first[reason].line}, item {first[reason].item}"
            for reason, count in found.most_common(SHOWN_REASONS)
        ]


def import_feedback(source: Source, store: EventStore) -> Tally:
    """Read a source into the store; what cannot be used is set aside, and what is known is not added again.

    Raises:
        ConfigError: The format, or what is to be named in it, does not exist.
        DataError: There is no such source, it is broken as a whole, or nothing in it can be used.
        StoreError: What is set aside cannot be written; then nothing is stored.
    """
    tally = read_source(source)
    found = sort_out(store, tally.events)
    _reject_clashes(tally, found)
    if tally.rejected:
        tally.set_aside = _beside(Path(source.path))
        lines = (json.dumps({"file": source.path, **asdict(row)}) + "\n" for row in tally.rejected)
        write_file(tally.set_aside, "".join(lines).encode())
    if tally.rejected and not tally.events:
        raise DataError(_nothing_usable(source, tally))
    added = store.add(found.unknown)
    tally.new, tally.withdrawn = len(added.new), added.withdrawn
    tally.known, tally.repeated = found.known + added.known, found.repeated
    return tally


def read_source(source: Source) -> Tally:
    """Read a source; nothing is stored.

    Raises:
        ConfigError: As for `import_feedback`.
        DataError: As for `import_feedback`, and where a column that was named does not exist.
    """
    tally = Tally()
    with _opened(source.path) as stream:
        items = numbered(stream.records)
        head = list(itertools.islice(items, 20))
        tally.format = _format_of(source, head)
        _check_names(source, tally.format)
        rows = _counted(itertools.chain(head, items), source, tally)
        for item, found in read_as(tally.format, rows, source.reading):
            if isinstance(found, FeedbackEvent):
                tally.read.append((item, found))
            elif isinstance(found, Remark):
                tally.remarks[found.what] += 1
            else:
                tally.rejected.append(Rejected(item.line, item.number, found.reason, item.raw))
    _check_columns(source, tally)
    return tally


def count_ties(event: FeedbackEvent) -> int:
    """Pairs of answers that a judgement calls equal; two fails, or two thumbs alike, were never compared."""
    if not isinstance(event.judgement, Choice | Ranking | Ratings):
        return 0
    ranks = Counter(rank for rank in event.judgement.places if rank is not None)
    return sum(count * (count - 1) // 2 for count in ranks.values())


def _opened(source: str) -> AbstractContextManager[RowStream]:
    path = find_path(source)
    return open_saved_rows(path, source) if path.is_dir() else open_rows(path, source, None)


def _counted(items: Iterable[Item], source: Source, tally: Tally) -> Iterator[Item]:
    for item in items:
        tally.rows += 1
        tally.columns.update(item.values)
        wanted = all(str(item.values.get(name)) == value for name, value in source.only.items())
        if item.reason or wanted:
            yield item
        else:
            tally.left_out += 1


def _format_of(source: Source, head: Sequence[Item]) -> str:
    if source.format in FORMATS:
        return source.format
    expected = f"auto, or one of {', '.join(FORMATS)}"
    if source.format != AUTO:
        remedy = did_you_mean(nearest(source.format, FORMATS), "Name one of them.")
        raise ConfigError(Problem("--format", f"`{source.format}`", expected, remedy))
    given = source.reading.names.given
    readable = [item.values for item in head if not item.reason]
    known = next((name for values in readable if (name := recognise(values, given))), None)
    if known is None:
        columns = ", ".join(f"`{excerpt(name, 40)}`" for name in (readable[0] if readable else {}))
        got = f"rows with the columns {columns}" if columns else "no row that can be read"
        remedy = "Name the format with --format, and columns with --map OURS=THEIRS."
        raise DataError(Problem(source.path, got, "rows of a format that is recognised", remedy))
    return known


def _check_names(source: Source, name: str) -> None:
    form = FORMATS[name]
    problems = [
        Problem(
            f"--map {ours}=...",
            f"a field that {name} does not have",
            f"one of {', '.join(form.fields)}" + (", a rank, or F" if form.names_ranks else ""),
            did_you_mean(nearest(ours, form.fields), "Correct it."),
        )
        for ours in source.reading.names.given
        if not form.can_name(ours)
    ]
    if problems:
        raise ConfigError(problems)


def _check_columns(source: Source, tally: Tally) -> None:
    given = source.reading.names.given if FORMATS[tally.format].is_table else {}
    mapped = [theirs for ours, theirs in given.items() if ours != SCALE]
    shown = ", ".join(f"`{excerpt(column, 40)}`" for column in sorted(tally.columns))
    problems = [
        Problem(
            source.path,
            f"no column `{column}`",
            f"one of {shown}",
            did_you_mean(nearest(column, tally.columns), "Name the column that it is."),
        )
        for column in (*mapped, *source.only)
        if tally.columns and column not in tally.columns
    ]
    if problems:
        raise DataError(problems)


def unused_columns(source: Source, tally: Tally) -> list[str]:
    """Columns that the import did not look at."""
    form, names = FORMATS[tally.format], source.reading.names
    if not form.is_table:
        return []
    return sorted(tally.columns - {names.of(name) for name in form.fields} - source.only.keys())


def _reject_clashes(tally: Tally, found: Sorted) -> None:
    for item, event in tally.read:
        if event.id in found.clashing:
            tally.rejected.append(Rejected(item.line, item.number, f"{CLASH}: {event.id}", item.raw))
    tally.read = [(item, event) for item, event in tally.read if event.id not in found.clashing]


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.set-aside.jsonl")


def _nothing_usable(source: Source, tally: Tally) -> Problem:
    return Problem(
        source.path,
        f"no usable judgement in {tally.rows} rows ({' | '.join(tally.reasons())})",
        f"rows of {tally.format}",
        f"All of them are in {tally.set_aside}; name columns with --map, or another --format.",
    )
