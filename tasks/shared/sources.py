"""Reads the rows of a dataset, wherever it is kept, and sets aside those that cannot be used.

A row that cannot be used is neither lost nor fatal. A column that does not exist is an error: then it is the
configuration that is wrong. What the texts say is judged later, by cleaning.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.errors import Problem
from configs.hints import did_you_mean, nearest
from tasks.shared.disk import write_file
from tasks.shared.errors import DataError
from tasks.shared.source_digest import source_digest
from tasks.shared.source_files import find_path, open_rows
from tasks.shared.source_formats import Record, RowStream, excerpt

__all__ = ["BadRow", "SourceRows", "read_rows", "set_aside", "source_digest"]

_SHOWN_REASONS = 3
_SHOWN_COLUMNS = 40
_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class BadRow:
    """A row that was set aside.

    Attributes:
        file: The source, as the configuration names it.
        line: The line that the row begins on, from 1; for Parquet and the Hub, its number.
        reason: What is wrong with it.
        excerpt: Its first 200 characters, with what is not printable escaped.
    """

    file: str
    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True)
class SourceRows:
    """All rows of a source.

    Attributes:
        rows: The usable rows, in the source's order: our fields and their texts.
        bad: The others, in the same order.
    """

    rows: list[dict[str, str]]
    bad: list[BadRow]


def read_rows(
    source: str,
    columns: Mapping[str, str],
    cache: Path,
    optional: Collection[str] = (),
    endpoint: str | None = None,
) -> SourceRows:
    """Read the texts of some columns from every row of a source.

    Args:
        source: A path to .jsonl, .json, .csv, .tsv (each also .gz) or .parquet; the same as `s3://bucket/key`;
            or `hf:owner/name/config@split`.
        columns: Our field to the source's column.
        cache: The folder for copies of files in S3.
        optional: Fields that may be absent, null or blank in a row; they are then empty.
        endpoint: The S3 server's address, for sources there.

    Raises:
        DataError: There is no such source or column, the source is broken as a whole, or no row is usable.
        StoreError: The S3 server cannot be reached, or it refused.
    """
    found = SourceRows([], [])
    seen: set[str] = set()
    with _open_source(source, set(columns.values()), cache, endpoint) as stream:
        if stream.columns is not None:
            _check_columns(source, columns, stream.columns)
        for record in stream.records:
            if stream.columns is None:
                seen.update(record.values)
            texts, reasons = _texts(record, columns, optional)
            if reasons:
                found.bad.append(BadRow(source, record.line, "; ".join(reasons), _excerpt(record)))
            else:
                found.rows.append(texts)
    if seen:
        _check_columns(source, columns, sorted(seen))
    if not found.rows:
        raise DataError(_no_rows_problem(source, found.bad))
    return found


def set_aside(rows: Iterable[BadRow], path: Path) -> None:
    """Write rows that were set aside as JSON lines, whole or not at all.

    Raises:
        DiskFullError: They do not fit on the disk.
        StoreError: The path cannot be written.
    """
    lines = [json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows]
    write_file(path, "".join(lines).encode("utf-8"))


def _open_source(
    source: str, wanted: Collection[str], cache: Path, endpoint: str | None
) -> AbstractContextManager[RowStream]:
    if source.startswith("hf:"):
        from tasks.shared.source_hub import open_hub_rows

        return open_hub_rows(source, wanted)
    if source.startswith("s3://"):
        from tasks.shared.source_objects import fetch_object

        return open_rows(fetch_object(source, endpoint, cache), source, wanted)
    return open_rows(find_path(source), source, wanted)


def _check_columns(source: str, columns: Mapping[str, str], existing: Sequence[str]) -> None:
    missing = {field: column for field, column in columns.items() if column not in existing}
    shown = ", ".join(f"`{excerpt(column, 60)}`" for column in existing[:_SHOWN_COLUMNS])
    more = ", …" if len(existing) > _SHOWN_COLUMNS else ""
    problems = [
        Problem(
            source,
            f"no column `{column}`, which is to be our `{field}`",
            f"one of {shown}{more}",
            did_you_mean(nearest(column, existing), "Name the column that it is."),
        )
        for field, column in missing.items()
    ]
    if problems:
        raise DataError(problems)


def _texts(
    record: Record, columns: Mapping[str, str], optional: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Return our fields' texts, and why the row cannot be used, if it cannot."""
    if record.reason:
        return {}, [record.reason]
    values = {field: record.values.get(column) for field, column in columns.items()}
    found = {field: _fault(value, field in optional) for field, value in values.items()}
    reasons = [f"`{columns[field]}` {fault}" for field, fault in found.items() if fault]
    return {field: value or "" for field, value in values.items()}, reasons


def _fault(value: Any, is_optional: bool) -> str:
    """Tell what is wrong with a value; the empty string if nothing is."""
    if value is None:
        return "" if is_optional else "is missing"
    if not isinstance(value, str):
        return f"is {_KINDS.get(type(value), type(value).__name__)}, not text"
    if not is_optional and not value.strip():
        return "is empty"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return ""


def _excerpt(record: Record) -> str:
    return excerpt(record.raw or json.dumps(record.values, ensure_ascii=False, default=str))


def _no_rows_problem(source: str, bad: Sequence[BadRow]) -> Problem:
    reasons = Counter(row.reason for row in bad)
    first = {row.reason: row.line for row in reversed(bad)}
    shown = "; ".join(
        f"{count} of them: {reason}, first on line {first[reason]}"
        for reason, count in reasons.most_common(_SHOWN_REASONS)
    )
    got = f"no usable row among {len(bad)} ({shown})" if bad else "no rows"
    return Problem(
        source, got, "at least one row with all its texts", "Mend the rows, or name other columns."
    )
