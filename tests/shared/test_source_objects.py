"""Sources in a real S3 server."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.shared.errors import DataError, StoreError
from tasks.shared.s3_bucket import Bucket
from tasks.shared.sources import read_rows, source_digest

if TYPE_CHECKING:
    from tests.conftest import S3Server

pytestmark = pytest.mark.service

COLUMNS = {"prompt": "question", "answer": "reply"}


def put(server: "S3Server", key: str, *questions: str) -> bytes:
    data = b"".join(json.dumps({"question": q, "reply": "r"}).encode() + b"\n" for q in questions)
    Bucket(server.bucket, server.endpoint).write(key, data)
    return data


def test_rows_of_an_object_follow_its_content(s3_server: "S3Server", tmp_path: Path) -> None:
    source = f"s3://{s3_server.bucket}/data/rows.jsonl"
    data = put(s3_server, "data/rows.jsonl", "one", "two")
    first = source_digest(source, None, s3_server.endpoint)
    assert first == f"etag:{hashlib.md5(data).hexdigest()}:{len(data)}"

    for _ in range(2):
        result = read_rows(source, COLUMNS, tmp_path / "cache", endpoint=s3_server.endpoint)
        assert [row["prompt"] for row in result.rows] == ["one", "two"]
    (copy,) = (tmp_path / "cache").iterdir()
    assert copy.read_bytes() == data

    put(s3_server, "data/rows.jsonl", "six", "ten")
    assert source_digest(source, None, s3_server.endpoint) != first
    result = read_rows(source, COLUMNS, tmp_path / "cache", endpoint=s3_server.endpoint)
    assert [row["prompt"] for row in result.rows] == ["six", "ten"]


def test_a_copy_is_used_without_a_download(s3_server: "S3Server", tmp_path: Path) -> None:
    source = f"s3://{s3_server.bucket}/data/again.jsonl"
    put(s3_server, "data/again.jsonl", "one")
    read_rows(source, COLUMNS, tmp_path, endpoint=s3_server.endpoint)
    (copy,) = tmp_path.iterdir()
    copy.write_text('{"question": "from the copy", "reply": "r"}')
    result = read_rows(source, COLUMNS, tmp_path, endpoint=s3_server.endpoint)
    assert result.rows == [{"prompt": "from the copy", "answer": "r"}]


def test_bad_rows_name_the_object(s3_server: "S3Server", tmp_path: Path) -> None:
    source = f"s3://{s3_server.bucket}/data/table.csv"
    Bucket(s3_server.bucket, s3_server.endpoint).write("data/table.csv", b"question,reply\na,b\nc\n")
    (bad,) = read_rows(source, COLUMNS, tmp_path, endpoint=s3_server.endpoint).bad
    assert (bad.file, bad.line) == (source, 3)


def test_a_missing_object_suggests_a_neighbour(s3_server: "S3Server", tmp_path: Path) -> None:
    put(s3_server, "near/foods.jsonl", "one")
    source = f"s3://{s3_server.bucket}/near/food.jsonl"
    for read in (
        lambda: read_rows(source, COLUMNS, tmp_path, endpoint=s3_server.endpoint),
        lambda: source_digest(source, None, s3_server.endpoint),
    ):
        with pytest.raises(DataError, match=r"Did you mean `s3://retort/near/foods\.jsonl`"):
            read()
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_does_not_exist(s3_server: "S3Server", tmp_path: Path) -> None:
    with pytest.raises((DataError, StoreError), match="nowhere"):
        read_rows("s3://nowhere/x.csv", COLUMNS, tmp_path, endpoint=s3_server.endpoint)


def test_an_object_replaced_while_it_is_read(
    s3_server: "S3Server", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"s3://{s3_server.bucket}/data/moving.jsonl"
    put(s3_server, "data/moving.jsonl", "one")
    download = Bucket.download

    def replaced_behind_our_back(bucket: Bucket, key: str, out: object) -> bool:
        done = download(bucket, key, out)  # type: ignore[arg-type]
        put(s3_server, key, "two")
        return done

    monkeypatch.setattr(Bucket, "download", replaced_behind_our_back)
    with pytest.raises(DataError, match="another object"):
        read_rows(source, COLUMNS, tmp_path, endpoint=s3_server.endpoint)
    assert list(tmp_path.iterdir()) == []
