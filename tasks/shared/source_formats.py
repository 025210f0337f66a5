"""The formats that rows come in: JSON lines, JSON lists, CSV and TSV, Parquet.

Rows are read one at a time, and what cannot be read as a row is handed on with the reason; whether a row is
of use is judged elsewhere. Only a file that is broken as a whole, so that rows are lost, is an error.
"""

import csv
import itertools
import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from configs.errors import Problem
from tasks.shared.errors import DataError

_PARQUET_BATCH = 1024
_JSON_SPACE = " \t\r\n"
_FETCH_AGAIN = "Make or fetch the file again."


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it stands in a file.

    Attributes:
        line: The line that it begins on, from 1; where there are no lines, its number.
        values: The values by column; empty if the row cannot be read.
        raw: Its text; empty in formats that are not text.
        reason: Why it cannot be read; empty if it can.
    """

    line: int
    values: dict[str, Any]
    raw: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RowStream:
    """Rows to be read once.

    Attributes:
        columns: The columns of all rows; None if each row has its own.
        records: The rows.
    """

    columns: list[str] | None
    records: Iterator[Record]


def json_line_rows(lines: Iterable[bytes]) -> RowStream:
    """Read one JSON object a line."""
    numbered = enumerate(lines, start=1)
    return RowStream(None, (_json_line(number, line) for number, line in numbered if line.strip()))


def json_list_rows(data: bytes, name: str) -> RowStream:
    """Read a JSON list of objects; its rows raise DataError where the list is broken.

    Args:
        data: The whole file.
        name: What errors call it.
    """
    return RowStream(None, _json_items(_decode(data), name))


def csv_rows(lines: Iterable[bytes], delimiter: str, name: str) -> RowStream:
    """Read records under a header; quoted cells may hold line breaks.

    Raises:
        DataError: There is no header, or none that can be used.
    """
    rows = (row for row in _csv_cells(_PhysicalLines(lines), delimiter) if not row.is_blank)
    header = next(rows, _Cells(1, [], "", "an empty file"))
    got = header.reason
    if len(set(header.cells)) < len(header.cells):
        got = f"the columns {excerpt(', '.join(header.cells))}, one of them twice"
    if got:
        raise DataError(Problem(name, got, "a first line that names each column once", "Mend that line."))
    return RowStream(header.cells, (_csv_record(header.cells, row) for row in rows))


def parquet_rows(file: BinaryIO, name: str, wanted: Collection[str] | None) -> RowStream:
    """Read the wanted columns of a Parquet file; None: all of them.

    Raises:
        DataError: The file is broken; so do its rows where it is.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
    except pyarrow.ArrowException as error:
        raise _broken_parquet(name, error) from error
    return RowStream(table.schema_arrow.names, _parquet_records(table, name, wanted))


def excerpt(text: str, length: int = 200) -> str:
    r"""Return the beginning of a text, safe to print: what is not printable is escaped, bytes as `\x80`."""
    escaped = "".join(map(_printable, text[:length]))
    return escaped if len(escaped) <= length and len(text) <= length else f"{escaped[: length - 1]}…"


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    is_byte = 0xDC80 <= ord(character) <= 0xDCFF
    return f"\\x{ord(character) - 0xDC00:02x}" if is_byte else ascii(character)[1:-1]


def _decode(data: bytes) -> str:
    """Decode UTF-8; bytes that are not become lone surrogates, which harm only the value that holds them."""
    return data.decode("utf-8", "surrogateescape")


def _json_line(number: int, line: bytes) -> Record:
    text = _decode(line.rstrip(b"\r\n"))
    try:
        return _json_record(number, json.loads(text), text)
    except json.JSONDecodeError as error:
        return Record(number, {}, text, f"not JSON: {error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:
        return Record(number, {}, text, f"not JSON: {error}")


def _json_record(line: int, value: Any, text: str) -> Record:
    if isinstance(value, dict):
        return Record(line, value, text)
    return Record(line, {}, text, "JSON, but not an object")


def _json_items(text: str, name: str) -> Iterator[Record]:
    try:
        yield from _json_items_until_broken(text)
    except json.JSONDecodeError as error:
        place = f"{name}:{error.lineno}:{error.colno}"
        problem = Problem(
            place, f"broken JSON ({error.msg})", "a JSON list of objects", "Mend the syntax there."
        )
        raise DataError(problem) from error
    except (ValueError, RecursionError) as error:
        raise DataError(Problem(name, str(error), "a JSON list of objects", _FETCH_AGAIN)) from error


def _json_items_until_broken(text: str) -> Iterator[Record]:
    decode = json.JSONDecoder().raw_decode
    line, counted = 1, 0
    start = _past_space(text, text.index("[") + 1)
    separator = text[start : start + 1]
    while separator != "]":
        value, end = decode(text, start)
        line, counted = line + text.count("\n", counted, start), start
        yield _json_record(line, value, text[start:end])
        start = _past_space(text, end)
        separator = text[start : start + 1]
        if separator not in (",", "]"):
            raise json.JSONDecodeError("Neither ',' nor ']' after an item", text, start)
        if separator == ",":
            start = _past_space(text, start + 1)
    end = _past_space(text, start + 1)
    if end < len(text):
        raise json.JSONDecodeError("More text after the list", text, end)


def _past_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _JSON_SPACE:
        position += 1
    return position


class _PhysicalLines:
    """The lines of a text; those taken last can be put back, to be read again behind a broken first one."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._put_back: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._put_back.popleft() if self._put_back else _decode(next(self._lines))
        self.taken.append(line)
        return line

    def put_back_all_but_first(self) -> None:
        self._put_back.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


class _Cells(NamedTuple):
    line: int
    cells: list[str]
    text: str
    reason: str

    @property
    def is_blank(self) -> bool:
        return len(self.cells) < 2 and not self.text.strip()


def _csv_cells(lines: _PhysicalLines, delimiter: str) -> Iterator[_Cells]:
    """Split records into cells.

    A stray quote makes the csv module swallow lines up to the next quote, or to its limit for the length of a
    cell. Only the line with the stray quote is set aside; the others are read again.
    """
    line = 1
    while True:
        lines.taken.clear()
        cells, reason = [], ""
        try:
            cells = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"wrong quoting: {error}"
            lines.put_back_all_but_first()
        yield _Cells(line, cells, "".join(lines.taken), reason)
        line += len(lines.taken)


def _csv_record(header: list[str], row: _Cells) -> Record:
    text = row.text.rstrip("\r\n")
    reason = row.reason
    if not reason and len(row.cells) != len(header):
        reason = f"cells: {len(row.cells)}, columns: {len(header)}"
    if reason:
        return Record(row.line, {}, text, reason)
    return Record(row.line, dict(zip(header, row.cells, strict=True)), text)


def _parquet_records(table: Any, name: str, wanted: Collection[str] | None) -> Iterator[Record]:
    import pyarrow

    columns = [column for column in table.schema_arrow.names if wanted is None or column in wanted]
    numbers = itertools.count(1)
    try:
        for batch in table.iter_batches(_PARQUET_BATCH, columns=columns):
            for values in _parquet_values(batch):
                reason = "bytes that are not UTF-8" if values is None else ""
                yield Record(next(numbers), values or {}, reason=reason)
    except (pyarrow.ArrowException, OSError) as error:
        raise _broken_parquet(name, error) from error


def _parquet_values(batch: Any) -> list[dict[str, Any] | None]:
    """Convert rows to plain values; None for a row with text that is not UTF-8, which Parquet can hold."""
    try:
        values: list[dict[str, Any] | None] = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [row for number in range(batch.num_rows) for row in _parquet_values(batch.slice(number, 1))]
    return values


def _broken_parquet(name: str, error: Exception) -> DataError:
    return DataError(Problem(name, f"a broken file ({error})", "a whole Parquet file", _FETCH_AGAIN))
