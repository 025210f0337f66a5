"""The objects of one S3 bucket: retries, conditions, and errors in plain words.

The only module that knows boto3, and one that knows nothing of artifacts. Credentials come from boto3's own
chain, in practice from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

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
from tasks.shared.errors import StoreAwayError, StoreError
from tasks.shared.patience import Patience

Answer = TypeVar("Answer")

# A server that freezes in the middle of a large file is noticed in about a minute.
_CONNECT_SECONDS = 2.0
_TRANSFER = TransferConfig(
    multipart_chunksize=8 << 20, max_concurrency=4, preferred_transfer_client="classic"
)
PAGE_KEYS = 1000
_MISSING = ("NoSuchKey", "404")
# This machine's clock jumped: whatever keeps it right will put it back.
_SKEWED = "RequestTimeTooSkewed"
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
    """

    body: bytes
    etag: str


@dataclass(frozen=True)
class UploadedFile:
    """What is known of a large object without reading it: its digest when it was uploaded, and its bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class ListedObject:
    """One line of a listing: the key, the bytes, and the seconds since it was written, told by the server."""

    key: str
    bytes: int
    age: float


class Bucket:
    """One bucket behind one endpoint; nothing is sent before the first call.

    Every method raises StoreError: the server refused, or (StoreAwayError) it cannot be reached.
    """

    def __init__(self, name: str, endpoint: str, patience: Patience | None = None) -> None:
        self.name = name
        self.endpoint = endpoint
        self._patience = patience or Patience()

    def with_patience(self, patience: Patience) -> Self:
        """The same bucket, through the same connections, with another patience."""
        other = copy.copy(self)
        other._patience = patience
        return other

    def uri(self, key: str) -> str:
        """Give the address of an object."""
        return f"s3://{self.name}/{key}"

    def clock(self) -> datetime | None:
        """Give the server's time, in whole seconds; None if there is no such bucket."""
        return self._call("", lambda: _server_time(self._small.head_bucket(Bucket=self.name)), *_MISSING)

    def read(self, key: str) -> StoredObject | None:
        """Read a small object, if it exists."""

        def get() -> StoredObject:
            response = self._small.get_object(Bucket=self.name, Key=key)
            return StoredObject(response["Body"].read(), response["ETag"])

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
        return list(self.walk(prefix))

    def walk(self, prefix: str) -> Iterator[str]:
        """Give the keys that begin with a prefix, sorted; no more than a page of them is in memory."""
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str) -> Iterator[ListedObject]:
        """Like `walk`, with what a listing tells of each object."""
        more: dict[str, str] = {}
        while True:
            page = self._page(prefix, more)
            now = _server_time(page) if page else None
            for entry in page.get("Contents", []):
                age = (now - entry["LastModified"]).total_seconds() if now else 0.0
                yield ListedObject(entry["Key"], entry["Size"], age)
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        def get() -> dict[str, Any]:
            wanted = {"Bucket": self.name, "Prefix": prefix, "MaxKeys": PAGE_KEYS}
            return dict(self._small.list_objects_v2(**wanted, **more))

        return self._call(prefix, get) or {}

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

        def ask() -> Answer | None:
            try:
                return function()
            except _FAILURES as error:
                if _code(error) in none_if:
                    return None
                raise

        try:
            return self._patience.insist(f"S3 at {self.endpoint}", ask, _may_pass)
        except _FAILURES as error:
            kind = StoreAwayError if _may_pass(error) else StoreError
            raise kind(self._problem(key, error)) from error

    def _problem(self, key: str, error: Exception) -> Problem:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            remedy = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
            return Problem(self.endpoint, "no credentials", "an access key and its secret", remedy)
        if isinstance(error, ClientError) and not _may_pass(error):
            got = f"{_code(error)} ({error.response['Error'].get('Message', 'no message')})"
            remedy = f"Check that the bucket `{self.name}` exists and that the credentials may use it."
            return Problem(self.uri(key), got, "access to the object", remedy)
        remedy = "Start the local services with `retort up`, or correct the endpoint."
        if _code(error) == _SKEWED:
            remedy = "Set the clock of this machine, or of the server."
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


def _server_time(response: Mapping[str, Any]) -> datetime:
    return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _may_pass(error: Exception) -> bool:
    """Whether an error is one of traffic, so that the same call may succeed a moment later."""
    if not isinstance(error, ClientError):
        return isinstance(error, _PASSING)
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or status == 429 or _code(error) in ("ConditionalRequestConflict", _SKEWED)
