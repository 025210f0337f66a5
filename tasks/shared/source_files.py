"""Finds and opens local files of rows, gzipped or not, by their suffix."""

import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from configs.errors import Problem
from configs.hints import did_you_mean, nearest
from tasks.shared.errors import DataError
from tasks.shared.source_formats import RowStream, csv_rows, json_line_rows, json_list_rows, parquet_rows

_FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_ZIPPED_FORMATS = tuple(f"{suffix}.gz" for suffix in _FORMATS if suffix != ".parquet")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def find_path(source: str) -> Path:
    """Return the path of a file or folder that exists.

    Raises:
        DataError: It does not; names that are near are suggested.
    """
    path = Path(source)
    if "://" in source:
        expected = "a path, `s3://bucket/key` or `hf:owner/name`"
        raise DataError(Problem(source, "an address of another kind", expected, "Download it first."))
    if not path.exists():
        names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, names)
        otherwise = f"Paths are relative to the working folder, {Path.cwd()}."
        remedy = did_you_mean(str(path.parent / near) if near else None, otherwise)
        raise DataError(Problem(source, "no such file", "a file that exists", remedy))
    return path


@contextmanager
def open_rows(path: Path, name: str, wanted: Collection[str] | None) -> Iterator[RowStream]:
    """Open a file of rows for the length of a `with` block.

    Args:
        path: The file; its suffix tells the format.
        name: What errors call it.
        wanted: The columns that matter; None: all of them.

    Raises:
        DataError: The format is unknown, or the file is broken as a whole; also inside the block.
    """
    suffix = _suffix(path, name)
    try:
        with path.open("rb") as file:
            if suffix == ".parquet":
                yield parquet_rows(file, name, wanted)
            elif suffix in _ZIPPED_FORMATS:
                with gzip.GzipFile(fileobj=file) as unzipped:
                    yield _text_rows(cast(BinaryIO, unzipped), suffix.removesuffix(".gz"), name)
            else:
                yield _text_rows(file, suffix, name)
    except (OSError, EOFError, zlib.error) as error:
        problem = Problem(name, f"a file that cannot be read ({error})", "a whole file", "Fetch it again.")
        raise DataError(problem) from error


def _suffix(path: Path, name: str) -> str:
    """Return what a file's name ends in, if that is a known format."""
    known = (suffix for suffix in (*_FORMATS, *_ZIPPED_FORMATS) if path.name.lower().endswith(suffix))
    suffix = next(known, "")
    if path.is_dir() or not suffix:
        got = "a folder" if path.is_dir() else "a file of another kind"
        expected = f"one of {', '.join((*_FORMATS, *_ZIPPED_FORMATS))}"
        raise DataError(Problem(name, got, expected, "Give one such file, or convert it."))
    return suffix


def _text_rows(file: BinaryIO, suffix: str, name: str) -> RowStream:
    if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
        file.seek(0)
    if suffix in (".csv", ".tsv"):
        return csv_rows(file, "\t" if suffix == ".tsv" else ",", name)
    if suffix == ".jsonl":
        return json_line_rows(file)
    data = file.read()
    # Many files of JSON lines are called .json.
    return json_list_rows(data, name) if data.lstrip().startswith(b"[") else json_line_rows(io.BytesIO(data))
