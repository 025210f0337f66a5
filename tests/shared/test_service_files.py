"""The files of the local servers: private, drawn once, and silent about secrets when damaged."""

import re
from pathlib import Path

import pytest

from tasks.shared.errors import ServiceError
from tasks.shared.service_files import make_s3_credentials, read_records, read_s3_credentials


def test_credentials_are_drawn_once_and_private(tmp_path: Path) -> None:
    first = make_s3_credentials(tmp_path)
    assert make_s3_credentials(tmp_path) == first == read_s3_credentials(tmp_path)
    assert (tmp_path / "s3-credentials.json").stat().st_mode & 0o777 == 0o600
    assert len(first.secret_key) == 40
    assert make_s3_credentials(tmp_path / "other") != first


def test_damaged_credentials_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "s3-credentials.json").write_text('{"access_key": "visible", "secret": "visible"}')
    with pytest.raises(ServiceError) as caught:
        make_s3_credentials(tmp_path)
    assert "visible" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_missing_credentials_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="Run `retort up`"):
        read_s3_credentials(tmp_path)


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "services.json").write_text('{"mlflow": {"pid": 1}}')
    with pytest.raises(ServiceError, match=re.escape(f"`{tmp_path / 'services.json'}`")):
        read_records(tmp_path)
