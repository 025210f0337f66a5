"""Sources in S3: what version an object has, and a copy of it on this machine."""

from pathlib import Path, PurePosixPath

from configs.errors import Problem
from configs.hints import did_you_mean, nearest
from tasks.shared.artifacts import sha256_bytes
from tasks.shared.disk import disk_errors, replacing
from tasks.shared.errors import DataError
from tasks.shared.s3_bucket import Bucket


def object_version(source: str, endpoint: str | None) -> str:
    """Return the etag and the size of an object, which change with its bytes.

    Args:
        source: `s3://bucket/key`.
        endpoint: The server's address.

    Raises:
        DataError: There is no such object.
        StoreError: The server cannot be reached, or it refused.
    """
    bucket, key = _locate(source, endpoint)
    return _version(bucket, key)


def fetch_object(source: str, endpoint: str | None, cache: Path) -> Path:
    """Return a local copy of an object, downloaded unless the cache holds this version of it.

    Args:
        source: `s3://bucket/key`.
        endpoint: The server's address.
        cache: The folder for copies; emptying it is the caller's affair.

    Raises:
        DataError: There is no such object, or it was replaced while it was read.
        StoreError: The server cannot be reached, or it refused.
        DiskFullError: The copy does not fit on the disk.
    """
    bucket, key = _locate(source, endpoint)
    version = _version(bucket, key)
    # The name keeps the suffixes, which tell the format.
    digest = sha256_bytes(f"{endpoint} {source} {version}".encode())
    copy = cache / f"{digest}{''.join(PurePosixPath(key).suffixes[-2:])}"
    if copy.exists():
        return copy
    with disk_errors(copy, int(version.rpartition(":")[2])), replacing(copy) as out:
        bucket.download(key, out)
        if _version(bucket, key) != version:
            got = "another object than when reading began"
            remedy = "Run again when its upload is done."
            raise DataError(Problem(source, got, "an object that stays", remedy))
    return copy


class _SourceBucket(Bucket):
    """A bucket whose objects others may have uploaded, without the digests that the store adds."""

    def version(self, key: str) -> str | None:
        """Ask for the etag and the size of an object, if it exists."""

        def head() -> str:
            response = self._small.head_object(Bucket=self.name, Key=key)
            etag = response["ETag"].strip('"')
            return f"{etag}:{response['ContentLength']}"

        return self._call(key, head, "NoSuchKey", "404")


def _locate(source: str, endpoint: str | None) -> tuple[_SourceBucket, str]:
    name, _, key = source.removeprefix("s3://").partition("/")
    if not name or not key:
        raise DataError(Problem(source, "no bucket and key", "`s3://bucket/key`", "Write it in that form."))
    if not endpoint:
        remedy = "Set AWS_ENDPOINT_URL_S3, or start the local store: `retort up`."
        raise DataError(Problem(source, "no S3 endpoint", "the address of an S3 server", remedy))
    return _SourceBucket(name, endpoint), key


def _version(bucket: _SourceBucket, key: str) -> str:
    version = bucket.version(key)
    if version is None:
        folder, slash, name = key.rpartition("/")
        near = nearest(key, bucket.keys(f"{folder}{slash}{name[:1]}"))
        remedy = did_you_mean(bucket.uri(near) if near else None, "Correct the key, or upload the object.")
        raise DataError(Problem(bucket.uri(key), "no such object", "an object that exists", remedy))
    return version
