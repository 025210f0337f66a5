"""Rows of datasets: formats, columns, and sources that are wrong as a whole."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tasks.shared.errors import DataError, StoreError
from tasks.shared.sources import BadRow, SourceRows, read_rows, set_aside

COLUMNS = {"prompt": "question", "answer": "reply"}
GOOD = [("What is iron?", "A metal."), ("Zwei\nZeilen", 'sagt "ja", ça va'), ("three", "3")]
GOOD_ROWS = [{"prompt": question, "answer": reply} for question, reply in GOOD]


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def read(folder: Path, name: str, data: bytes, *optional: str) -> SourceRows:
    return read_rows(write(folder, name, data), COLUMNS, folder / "cache", optional)


def faults(result: SourceRows) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in result.bad]


def json_lines(rows: list[tuple[str, str]]) -> bytes:
    lines = (json.dumps({"id": 7, "question": question, "reply": reply}) for question, reply in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def table(rows: list[tuple[str, str]], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("id", "question", "reply")])
    csv.writer(text, delimiter=delimiter).writerows(("7", *row) for row in rows)
    return text.getvalue().encode()


def columnar(rows: list[tuple[str, str]]) -> bytes:
    out = io.BytesIO()
    questions, replies = zip(*rows, strict=True)
    parquet.write_table(pyarrow.table({"question": questions, "id": [7] * len(rows), "reply": replies}), out)
    return out.getvalue()


def json_list(rows: list[tuple[str, str]]) -> bytes:
    return json.dumps([{"question": question, "reply": reply} for question, reply in rows], indent=1).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl", json_lines(GOOD)),
        ("x.jsonl.gz", json_lines(GOOD)),
        ("X.JSONL", json_lines(GOOD)),
        ("v1.2.jsonl", b"\xef\xbb\xbf" + json_lines(GOOD).replace(b"\n", b"\r\n") + b"\r\n  \r\n\n"),
        ("x.json", json_list(GOOD)),
        ("bom.json", b"\xef\xbb\xbf\n" + json_list(GOOD) + b"\n\n"),
        ("lines.json", json_lines(GOOD)),
        ("x.csv", table(GOOD, ",")),
        ("x.csv.gz", table(GOOD, ",")),
        ("x.tsv", table(GOOD, "\t")),
        ("bom.csv", b"\xef\xbb\xbf" + table(GOOD, ",") + b"\r\n\n"),
        ("no-end.csv", table(GOOD, ",").rstrip()),
        ("x.parquet", columnar(GOOD)),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, data: bytes) -> None:
    assert read(tmp_path, name, data) == SourceRows(GOOD_ROWS, [])


def test_a_path_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "x.jsonl", json_lines(GOOD))
    monkeypatch.chdir(tmp_path)
    assert read_rows("x.jsonl", COLUMNS, tmp_path).rows == GOOD_ROWS


def test_optional_fields_may_be_absent_but_not_wrong(tmp_path: Path) -> None:
    lines = b'{"question": "1"}\n{"question": "2", "reply": " "}\n{"question": "3", "reply": 3}\n'
    result = read(tmp_path, "x.jsonl", lines, "answer")
    assert result.rows == [{"prompt": "1", "answer": ""}, {"prompt": "2", "answer": " "}]
    assert faults(result) == [(3, "`reply` is a number, not text")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl", b'{"question": "q", "replies": "r"}\n{"question": "q"}\n{\n'),
        ("x.json", b'[{"question": "q", "replies": "r"}]'),
        ("x.csv", b"question,replies\nq,r\n"),
        ("x.tsv", b"question\treplies\n"),
    ],
)
def test_a_missing_column_is_one_error_for_the_file(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, name, data)
    (problem,) = caught.value.problems
    assert problem.what == str(tmp_path / name)
    assert problem.got == "no column `reply`, which is to be our `answer`"
    assert problem.expected == "one of `question`, `replies`"
    assert problem.remedy == "Did you mean `replies`?"


def test_all_missing_columns_are_named(tmp_path: Path) -> None:
    data = columnar(GOOD)
    with pytest.raises(DataError) as caught:
        read_rows(write(tmp_path, "x.parquet", data), {"a": "questions", "b": "zzz", "c": "reply"}, tmp_path)
    assert [problem.remedy for problem in caught.value.problems] == [
        "Did you mean `question`?",
        "Name the column that it is.",
    ]


@pytest.mark.parametrize(
    ("name", "data", "what", "got"),
    [
        ("x.csv", b"", "x.csv", "an empty file"),
        ("x.csv", b"question,question,reply\na,b,c\n", "x.csv", "one of them twice"),
        ("x.csv", b'question,"reply\na,b\n', "x.csv", "wrong quoting"),
        ("x.csv", b"question,reply\n", "x.csv", "no rows"),
        ("x.jsonl", b"\n\n", "x.jsonl", "no rows"),
        ("x.jsonl", b'{"question": 1, "reply": ""}\n' * 5, "x.jsonl", "no usable row among 5"),
        ("x.json", b"[]", "x.json", "no rows"),
        ("x.json", b'[{"question": "a"},\n {"x": 1]', "x.json:2:9", "broken JSON"),
        ("x.json", b'[{"question": "a"} {"x": 1}]', "x.json:1:20", "broken JSON"),
        ("x.json", b'[{"question": "a"}', "x.json:1:19", "broken JSON"),
        ("x.json", b'[{"question": "a"}] x', "x.json:1:21", "broken JSON"),
        ("x.json", b"[" * 100_000, "x.json", "recursion"),
        ("x.parquet", b"no table", "x.parquet", "a broken file"),
        ("x.parquet", columnar(GOOD)[:-20], "x.parquet", "a broken file"),
        ("x.txt", b"q", "x.txt", "another kind"),
        ("x.parquet.gz", b"", "x.parquet.gz", "another kind"),
        ("README", b"", "README", "another kind"),
    ],
)
def test_files_that_are_broken_as_a_whole(
    tmp_path: Path, name: str, data: bytes, what: str, got: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, name, data)
    (problem,) = caught.value.problems
    assert problem.what == str(tmp_path / what)
    assert got in problem.got


def test_an_archive_that_ends_early_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(json_lines(GOOD * 1000))[:-30])
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(str(path), COLUMNS, tmp_path)


def test_a_missing_file_suggests_a_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "foods.csv", b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="Did you mean `foods.csv`"):
        read_rows("food.csv", COLUMNS, tmp_path)
    with pytest.raises(DataError, match="relative to the working folder"):
        read_rows("nowhere/food.csv", COLUMNS, tmp_path)
    with pytest.raises(DataError, match="got a folder"):
        read_rows(".", COLUMNS, tmp_path)


@pytest.mark.parametrize("source", ["https://host/x.csv", "gs://bucket/x.csv", "s3://bucket", "s3:///x.csv"])
def test_an_address_of_another_form(tmp_path: Path, source: str) -> None:
    with pytest.raises(DataError, match=source):
        read_rows(source, COLUMNS, tmp_path, endpoint="http://127.0.0.1:1")


def test_an_object_without_an_endpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no S3 endpoint"):
        read_rows("s3://bucket/x.csv", COLUMNS, tmp_path)


def test_excerpts_are_short_and_printable(tmp_path: Path) -> None:
    lines = [
        b'{"question": "1", "reply": "r"}',
        b"\x1b[31m\x00\xe2\x80\xae" + b"x" * 500,
        b"\xff" * 300,
        b"\t{",
    ]
    result = read(tmp_path, "x.jsonl", b"\n".join(lines))
    escape, undecodable, tab = (row.excerpt for row in result.bad)
    assert escape.startswith(r"\x1b[31m\x00\u202exxx")
    assert undecodable.startswith(r"\xff\xff")
    assert tab == r"\t{"
    assert [len(escape), len(undecodable)] == [200, 200]
    assert all(row.excerpt.isprintable() for row in result.bad)


def test_rows_set_aside_are_written_whole(tmp_path: Path) -> None:
    rows = [BadRow("x.csv", 3, "`reply` is empty", r"é,\n"), BadRow("x.csv", 9, "cells: 1, columns: 2", '"')]
    path = tmp_path / "new" / "bad.jsonl"
    set_aside(rows, path)
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {"file": "x.csv", "line": 3, "reason": "`reply` is empty", "excerpt": r"é,\n"},
        {"file": "x.csv", "line": 9, "reason": "cells: 1, columns: 2", "excerpt": '"'},
    ]
    set_aside([], path)
    assert path.read_bytes() == b""
    assert [other.name for other in path.parent.iterdir()] == ["bad.jsonl"]


def test_rows_cannot_be_set_aside_where_a_folder_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        set_aside([], tmp_path)
    assert list(tmp_path.iterdir()) == []
