"""Planted mistakes at known lines in every format: each is found where it is, and no row is lost."""

import io
import random
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tasks.shared.sources import SourceRows, read_rows


def read(folder: Path, name: str, data: bytes) -> SourceRows:
    (folder / name).write_bytes(data)
    return read_rows(str(folder / name), {"prompt": "question", "answer": "reply"}, folder / "cache")


def faults(result: SourceRows) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in result.bad]


def test_bad_json_lines(tmp_path: Path) -> None:
    lines = [
        b'{"question": "1", "reply": "good"}',
        b'{"question": "2", "reply": }',
        b"",
        b'{"question": "4"}',
        b'["question", "reply"]',
        b'{"question": "6", "reply": 6, "x": null}',
        b'{"question": "7", "reply": "\xff"}',
        b'{"question": "8", "reply": "\\udc00"}',
        b'{"question": " \\n", "reply": ""}',
        b'{"question": "10", "reply": "an unclosed text',
        b"[" * 100_000,
        b'{"question": "12", "reply": "unused \xc3\xa9", "other": "\xff"}',
        b'{"question": "13", "reply": null, "number": 1' + b"0" * 5000 + b"}",
    ]
    result = read(tmp_path, "x.jsonl", b"\n".join(lines))
    assert result.rows == [
        {"prompt": "1", "answer": "good"},
        {"prompt": "12", "answer": "unused é"},
    ]
    shown = faults(result)
    assert shown[:7] == [
        (2, "not JSON: Expecting value at column 28"),
        (4, "`reply` is missing"),
        (5, "JSON, but not an object"),
        (6, "`reply` is a number, not text"),
        (7, "`reply` is not valid UTF-8"),
        (8, "`reply` is not valid UTF-8"),
        (9, "`question` is empty; `reply` is empty"),
    ]
    assert [(line, reason[:9]) for line, reason in shown[7:]] == [
        (10, "not JSON:"),
        (11, "not JSON:"),
        (13, "not JSON:"),
    ]


def test_bad_csv_records_have_the_line_they_begin_on(tmp_path: Path) -> None:
    text = (
        b"question,reply,id\r\n"
        b'1,"three\r\nphysical\r\nlines",x\r\n'  # 2 to 4
        b'"also\ntwo",,x\r\n'  # 5 and 6
        b"7,short\r\n"
        b"8,long,x,y\r\n"
        b"\r\n"
        b"10,good,x\r\n"
        b'"11 stray,quote,x\r\n'
        b'12,"good, too",x\r\n'
        b"\xff13,bytes,x\r\n"
        b"14,good,\xff unused\r\n"
        b'15 inch "screen",good,x\r\n'
        b'"16 open,to the end,x\r\n'
        b"17,good,x\r\n"
    )
    result = read(tmp_path, "x.csv", text)
    assert [row["prompt"] for row in result.rows] == ["1", "10", "12", "14", '15 inch "screen"', "17"]
    assert result.rows[0]["answer"] == "three\r\nphysical\r\nlines"
    assert [(row.line, row.reason.partition(":")[0]) for row in result.bad] == [
        (5, "`reply` is empty"),
        (7, "cells"),
        (8, "cells"),
        (11, "wrong quoting"),
        (13, "`question` is not valid UTF-8"),
        (16, "wrong quoting"),
    ]
    assert result.bad[0].excerpt == r'"also\ntwo",,x'
    assert result.bad[4].excerpt == r"\xff13,bytes,x"


def test_a_stray_quote_in_a_large_file_costs_one_row(tmp_path: Path) -> None:
    rows = [f"{number},reply {number}\n".encode() for number in range(20_000)]
    rows[500] = b'500,"stray\n'
    result = read(tmp_path, "x.csv", b"question,reply\n" + b"".join(rows))
    assert len(result.rows) == 19_999
    assert [row.line for row in result.bad] == [502]


def test_bad_items_of_a_json_list(tmp_path: Path) -> None:
    text = (
        b'[{"question": "1",\n "reply": "good"},\n\n3, {"question": "3",\n "reply": "\xff"},\n{"reply": []}]'
    )
    result = read(tmp_path, "x.json", text)
    assert result.rows == [{"prompt": "1", "answer": "good"}]
    assert faults(result) == [
        (4, "JSON, but not an object"),
        (4, "`reply` is not valid UTF-8"),
        (6, "`question` is missing; `reply` is a list, not text"),
    ]


def test_bad_parquet_rows(tmp_path: Path) -> None:
    raw = pyarrow.array([b"1", b"\xff2", b"3", None, b" "], pyarrow.binary())
    questions = pyarrow.Array.from_buffers(pyarrow.string(), len(raw), raw.buffers())
    out = io.BytesIO()
    parquet.write_table(pyarrow.table({"question": questions, "reply": list("abcde")}), out)
    result = read(tmp_path, "x.parquet", out.getvalue())
    assert result.rows == [{"prompt": "1", "answer": "a"}, {"prompt": "3", "answer": "c"}]
    assert faults(result) == [
        (2, "bytes that are not UTF-8"),
        (4, "`question` is missing"),
        (5, "`question` is empty"),
    ]
    assert result.bad[1].excerpt == '{"question": null, "reply": "d"}'


JSON_MENU = [
    b'{"question": "q", "reply": "r"}',
    b"{",
    b"7",
    b'{"question": "q"}',
    b'"\xff"',
    b'{"reply": "\xff"}',
]
CSV_MENU = [b"q,r", b'"q\nx\ny",r', b'"q,r', b"q", b"q,r,s", b",r", b"\xff,r", b'q,"r"z', b'"q ""x""",r']
CSV_GOOD = {b"q,r", b'"q\nx\ny",r', b'"q ""x""",r'}


@pytest.mark.parametrize("seed", range(20))
def test_good_and_bad_rows_are_all_lines_in_order(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    lines = [JSON_MENU[0], *draw.choices([*JSON_MENU, b""], k=200)]
    result = read(tmp_path, "x.jsonl", b"\n".join(lines))
    expected_bad = [number for number, line in enumerate(lines, start=1) if line not in (b"", JSON_MENU[0])]
    assert [row.line for row in result.bad] == expected_bad
    assert len(result.rows) == sum(line == JSON_MENU[0] for line in lines)


@pytest.mark.parametrize("seed", range(20))
def test_good_and_bad_records_are_all_records(tmp_path: Path, seed: int) -> None:
    # Without stray quotes, which may well close one another, a record is known from its own text.
    draw = random.Random(seed)
    menu = [record for record in CSV_MENU if record != b'"q,r']
    records = [b"q,r", *draw.choices(menu, k=200)]
    result = read(tmp_path, "x.csv", b"question,reply\n" + b"\n".join(records))
    line, expected_bad = 2, []
    for record in records:
        expected_bad += [] if record in CSV_GOOD else [line]
        line += record.count(b"\n") + 1
    assert [row.line for row in result.bad] == expected_bad
    assert len(result.rows) == sum(record in CSV_GOOD for record in records)


@pytest.mark.parametrize("seed", range(20))
def test_stray_quotes_lose_no_line(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    records = [f"q{number},r{number}".encode() for number in range(100)]
    for number in draw.sample(range(1, 100), 10):
        records[number] = b'"' + records[number]
    result = read(tmp_path, "x.csv", b"question,reply\n" + b"\n".join(records))
    good = {row["prompt"] for row in result.rows}
    bad = {row.excerpt.strip('"').partition(",")[0] for row in result.bad}
    assert good | bad == {f"q{number}" for number in range(100)}
    assert len(result.bad) == 10
