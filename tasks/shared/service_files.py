"""What `retort up` keeps on the disk: which servers it started, and the credentials of those that want some.

The files can be read by their owner only.
"""

import secrets
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from configs.errors import Problem
from tasks.shared.errors import ServiceError
from tasks.shared.processes import Process
from tasks.shared.secret_files import drawn_once, write_private

STATE_FILE = "services.json"
CREDENTIALS_FILE = "s3-credentials.json"
LOGIN_FILE = "prefect-login"


class ServerRecord(BaseModel):
    """One server that was started.

    Attributes:
        port: The loopback port that it serves.
        process: The process, which may be dead by now.
        started_at: When it was started, in UTC.
        log: The file with its output.
        log_start: Where in that file this start's output begins, in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int
    process: Process
    started_at: datetime
    log: Path
    log_start: int


class S3Credentials(BaseModel):
    """The key pair of the local S3 server; it does not show itself when printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key: str = Field(min_length=1, repr=False)
    secret_key: str = Field(min_length=1, repr=False)


_RECORDS = TypeAdapter(dict[str, ServerRecord])


def read_records(home: Path) -> dict[str, ServerRecord]:
    """Read which servers were started, by name; empty if none was.

    Raises:
        ServiceError: The file is not one that we wrote.
    """
    path = home / STATE_FILE
    if not path.exists():
        return {}
    try:
        return _RECORDS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ServiceError(
            Problem(
                str(path),
                f"{error.error_count()} things that do not fit",
                "the servers' record as `retort up` writes it",
                "Stop the servers by hand, delete the file and run `retort up`.",
            )
        ) from error


def write_records(home: Path, records: dict[str, ServerRecord]) -> None:
    """Replace the record of the servers; with none left, there is no file."""
    if records:
        write_private(home / STATE_FILE, _RECORDS.dump_json(records, indent=2))
    else:
        (home / STATE_FILE).unlink(missing_ok=True)


def read_s3_credentials(home: Path) -> S3Credentials:
    """Read the local S3 server's key pair.

    Raises:
        ServiceError: There is none yet, or the file is damaged. The message shows nothing of it.
    """
    path = home / CREDENTIALS_FILE
    try:
        return S3Credentials.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ServiceError(
            Problem(str(path), "no such file", "the S3 server's credentials", "Run `retort up`.")
        ) from error
    except ValidationError:
        # The cause would show what is in the file.
        raise ServiceError(
            Problem(
                str(path),
                "a damaged file",
                "an `access_key` and a `secret_key`",
                "Run `retort down`, delete the file, and run `retort up`: it makes new ones, the data stay.",
            )
        ) from None


def make_s3_credentials(home: Path) -> S3Credentials:
    """Give the S3 server's key pair, and on the first call draw it at random."""
    path = home / CREDENTIALS_FILE
    if not path.exists():
        drawn = S3Credentials(access_key=secrets.token_hex(10), secret_key=secrets.token_urlsafe(30))
        write_private(path, drawn.model_dump_json().encode())
    return read_s3_credentials(home)


def prefect_login(home: Path) -> str:
    """Give what Prefect's servers of this home ask for, `user:password`, and on the first call draw it.

    Who may talk to Prefect may have the worker run anything: on a shared machine that is everybody, and
    through a web page that the user's browser shows, anybody.
    """
    # Whose was first stays: its server may have begun.
    return drawn_once(home / LOGIN_FILE, lambda: f"retort:{secrets.token_urlsafe(30)}")
