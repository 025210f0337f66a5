"""The objects of one S3 bucket: retries, conditions, and errors in plain words.

The only module that knows boto3, and one that knows nothing of artifacts. Credentials come from boto3's own
chain, in practice from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import boto3
import botocore.session
from boto3.s3.transfer import S3TransferRetriesExceededError, TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from configs.errors import Problem
from tasks.shared.errors import StoreError

Answer = TypeVar("Answer")

# After the first failure. A server that restarts is back sooner; one that is not there is reported in
# under 15 s, and one that freezes in the middle of a large file in about a minute.
_PATIENCE_SECONDS = 8.0
_CONNECT_SECONDS = 2.0
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 0.1, 2.0
_TRANSFER = TransferConfig(
    multipart_chunksize=8 << 20, max_concurrency=4, preferred_transfer_client="classic"
)
_MISSING = ("NoSuchKey", "404")
_REFUSED = ("PreconditionFailed", "NoSuchKey")
_PASSING = (NoConnectionError, HTTPClientError, IncompleteReadError, S3TransferRetriesExceededError)
_SESSION_LOCK = threading.Lock()
_FAILURES = (BotoCoreError, ClientError, S3TransferRetriesExceededError)


@dataclass(frozen=True)
class StoredObject:
    """A small object.

    Attributes:
        body: Its bytes.
        etag: What its conditions refer to; changes with the bytes.
        age: Seconds since it was written, by the server's clock at both ends.
    """

    body: bytes
    etag: str
    age: float


@dataclass(frozen=True)
class UploadedFile:
    """What is known of a large object without reading it: its digest when it was uploaded, and its bytes."""

    sha256: str
    bytes: int


class Bucket:
    """One bucket behind one endpoint; nothing is sent before the first call.

    Every method raises StoreError: the server cannot be reached, or it refused.
    """

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self.endpoint = endpoint

    def uri(self, key: str) -> str:
        """Give the address of an object."""
        return f"s3://{self.name}/{key}"

    def read(self, key: str) -> StoredObject | None:
        """Read a small object, if it exists."""

        def get() -> StoredObject:
            response = self._small.get_object(Bucket=self.name, Key=key)
            now = parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
            age = (now - response["LastModified"]).total_seconds()
            return StoredObject(response["Body"].read(), response["ETag"], age)

        return self._call(key, get, *_MISSING)

    def write(self, key: str, body: bytes) -> None:
        """Write a small object, whatever was there."""
        self._call(key, lambda: self._put(key, body))

    def create(self, key: str, body: bytes) -> str | None:
        """Write a small object unless there is one; its etag, or None if there is.

        None may also mean that the answer to an earlier try of this very call was lost.
        """
        return self._call(key, lambda: self._put(key, body, IfNoneMatch="*"), *_REFUSED)

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write a small object over the one with that etag; None as for `create`."""
        return self._call(key, lambda: self._put(key, body, IfMatch=etag), *_REFUSED)

    def delete(self, key: str, etag: str | None = None) -> None:
        """Delete an object, if it exists and, given an etag, if it is still that one."""
        condition = {"IfMatch": etag} if etag else {}
        self._call(key, lambda: self._small.delete_object(Bucket=self.name, Key=key, **condition), *_REFUSED)

    def keys(self, prefix: str) -> list[str]:
        """List the objects whose keys begin with a prefix."""

        def pages() -> list[str]:
            found = self._small.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return [entry["Key"] for page in found for entry in page.get("Contents", [])]

        return self._call(prefix, pages) or []

    def copy(self, source: str, target: str) -> None:
        """Copy an object of any size within the bucket."""
        origin = {"Bucket": self.name, "Key": source}
        self._call(source, lambda: self._bulk.copy(origin, self.name, target, Config=_TRANSFER))

    def upload(self, key: str, path: Path, sha256: str) -> None:
        """Store a file of any size, with its digest in the object's metadata."""
        extra = {"Metadata": {"sha256": sha256}}

        def send() -> None:
            # Not `upload_fileobj`, which reads ten parts ahead into memory.
            with create_transfer_manager(self._bulk, _TRANSFER) as transfers:
                transfers.upload(str(path), self.name, key, extra_args=extra).result()

        self._call(key, send)

    def look(self, key: str) -> UploadedFile | None:
        """Ask what was uploaded under a key, if anything."""

        def head() -> UploadedFile:
            response = self._small.head_object(Bucket=self.name, Key=key)
            return UploadedFile(response["Metadata"].get("sha256", ""), response["ContentLength"])

        return self._call(key, head, *_MISSING)

    def download(self, key: str, out: BinaryIO) -> bool:
        """Write an object of any size into an empty open file; False if there is no such object."""

        def receive() -> bool:
            out.seek(0)
            out.truncate()
            self._bulk.download_fileobj(self.name, key, out, Config=_TRANSFER)
            return True

        return self._call(key, receive, *_MISSING) or False

    @cached_property
    def _small(self) -> Any:
        return self._client(read_seconds=4.0, tries=1)

    @cached_property
    def _bulk(self) -> Any:
        # Tries of single parts, lest one that fails send the whole file again.
        return self._client(read_seconds=10.0, tries=3)

    def _client(self, read_seconds: float, tries: int) -> Any:
        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=read_seconds,
            retries={"mode": "standard", "total_max_attempts": tries},
            s3={"addressing_style": "path"},
        )
        try:
            with _SESSION_LOCK:
                return _session().client("s3", endpoint_url=self.endpoint, config=config)
        except ValueError as error:
            raise StoreError(
                Problem(
                    self.endpoint,
                    str(error),
                    "an address such as http://127.0.0.1:8333",
                    "Correct the endpoint.",
                )
            ) from error

    def _put(self, key: str, body: bytes, **condition: str) -> str:
        response = self._small.put_object(Bucket=self.name, Key=key, Body=body, **condition)
        return str(response["ETag"])

    def _call(self, key: str, function: Callable[[], Answer], *none_if: str) -> Answer | None:
        """Call the server, again and again while it may be restarting; None on the error codes `none_if`."""
        deadline = None
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                return function()
            except _FAILURES as error:
                if _code(error) in none_if:
                    return None
                now = time.monotonic()
                deadline = deadline or now + _PATIENCE_SECONDS
                pause = random.uniform(delay / 2, delay)
                if not _may_pass(error) or now + pause > deadline:
                    raise StoreError(self._problem(key, error)) from error
            time.sleep(pause)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def _problem(self, key: str, error: Exception) -> Problem:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            remedy = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
            return Problem(self.endpoint, "no credentials", "an access key and its secret", remedy)
        if isinstance(error, ClientError) and not _may_pass(error):
            got = f"{_code(error)} ({error.response['Error'].get('Message', 'no message')})"
            remedy = f"Check that the bucket `{self.name}` exists and that the credentials may use it."
            return Problem(self.uri(key), got, "access to the object", remedy)
        remedy = "Start the local services with `retort up`, or correct the endpoint."
        return Problem(
            self.endpoint, f"no usable answer ({error})", f"S3 with the bucket `{self.name}`", remedy
        )


def _session() -> Any:
    # A session remembers the credentials that it first saw, so none is kept; what makes a new one slow is
    # that it reads the description of S3 again, and that is shared.
    core = botocore.session.get_session()
    core.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=core)


@cache
def _descriptions() -> Any:
    return botocore.session.get_session().get_component("data_loader")


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _may_pass(error: Exception) -> bool:
    """Whether an error is one of traffic, so that the same call may succeed a moment later."""
    if not isinstance(error, ClientError):
        return isinstance(error, _PASSING)
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or status == 429 or _code(error) == "ConditionalRequestConflict"
