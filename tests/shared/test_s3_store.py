"""What only a store behind a network promises: plain words when it is away, patience, leases by machine."""

import contextlib
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tasks.shared import s3_lease
from tasks.shared.errors import Problem, StoreAwayError, StoreError
from tasks.shared.patience import Patience
from tasks.shared.s3_bucket import Bucket
from tasks.shared.s3_lease import S3Lease
from tasks.shared.s3_store import S3Store

if TYPE_CHECKING:
    import subprocess

    from tests.conftest import S3Server
    from tests.shared.conftest import S3Backend

pytestmark = pytest.mark.service

KEY = "distill/" + "a" * 64
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.bin").write_bytes(b"abc")
    return tmp_path / "work"


def seconds_until_error(endpoint: str, tmp_path: Path) -> tuple[float, str]:
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        S3Store("retort", "", endpoint, tmp_path).find(KEY)
    return time.monotonic() - began, str(caught.value)


@pytest.mark.usefixtures("s3_server")
def test_a_server_that_refuses_or_is_silent_is_given_up_within_seconds(tmp_path: Path) -> None:
    with (
        socket.socket() as unused,
        socket.create_server(("127.0.0.1", 0)) as silent,
        ThreadPoolExecutor() as threads,
    ):
        unused.bind(("127.0.0.1", 0))
        endpoints = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in (unused, silent)]
        outcomes = list(threads.map(seconds_until_error, endpoints, [tmp_path, tmp_path]))
    for endpoint, reason, limit, (seconds, text) in zip(
        endpoints, ("Could not connect", "Read timeout"), (12, 18), outcomes, strict=True
    ):
        assert text.startswith(f"`{endpoint}`: got no usable answer ({reason}")
        assert "retort up" in text
        assert seconds < limit


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "Correct the endpoint" in seconds_until_error("nonsense", tmp_path)[1]


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)


@contextlib.contextmanager
def late_server(endpoint: str, delay: float) -> Iterator[str]:
    """Give an address that refuses connections for some seconds, then leads to the server."""
    behind = ("127.0.0.1", int(endpoint.rpartition(":")[2]))

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(behind) as far:
                threading.Thread(target=_pass_on, args=(far, self.request), daemon=True).start()
                _pass_on(self.request, far)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay, bind_and_activate=False) as server:
        server.daemon_threads = True
        server.server_bind()

        def serve() -> None:
            time.sleep(delay)
            server.server_activate()
            server.serve_forever(poll_interval=0.05)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_a_server_that_is_back_within_seconds_is_waited_for(s3_server: "S3Server", tmp_path: Path) -> None:
    with late_server(s3_server.endpoint, delay=1.5) as endpoint:
        began = time.monotonic()
        assert S3Store(s3_server.bucket, "nothing", endpoint, tmp_path).find(KEY) is None
        assert time.monotonic() - began > 1.4


def test_a_run_under_way_waits_longer_and_says_so(s3_server: "S3Server", tmp_path: Path) -> None:
    """A stage of an hour was lost when the server was away for ten seconds at its commit."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.bin").write_bytes(b"abc")
    lines: list[str] = []
    with late_server(s3_server.endpoint, delay=11) as endpoint:
        patience = Patience(60, lines.append)
        store = S3Store(s3_server.bucket, "later", endpoint, tmp_path / "cache", patience=patience)
        ref = store.commit(KEY, "student", tmp_path / "work", [], {}, {})
    assert (S3Store(s3_server.bucket, "later", s3_server.endpoint, tmp_path).find(KEY) or ref) == ref
    assert [line.partition("; ")[0].partition(" after")[0] for line in lines] == [
        f"S3 at {endpoint} does not answer",
        f"S3 at {endpoint} is back",
    ]


def test_a_clock_that_is_wrong_is_named(s3_server: "S3Server") -> None:
    refused = {"Error": {"Code": "RequestTimeTooSkewed"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    bucket = Bucket(s3_server.bucket, s3_server.endpoint, Patience(0.5))
    tries = []

    def skewed() -> None:
        tries.append(1)
        raise ClientError(refused, "PutObject")  # type: ignore[arg-type]

    with pytest.raises(StoreAwayError, match="Set the clock of this machine"):
        bucket._call("key", skewed)
    assert len(tries) > 1


def test_a_missing_bucket_is_not_taken_for_a_missing_artifact(s3_server: "S3Server", tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"s3://other/artifacts/.*NoSuchBucket.*`other` exists"):
        S3Store("other", "", s3_server.endpoint, tmp_path).find(KEY)


FIND = """
os.environ.update({environment!r})
for name in {removed!r}:
    del os.environ[name]
try:
    {store}.find(KEY)
except StoreError as error:
    print(error)
"""


def test_a_wrong_secret_is_refused_and_not_repeated(s3_backend: "S3Backend", start: Start) -> None:
    environment = {"AWS_SECRET_ACCESS_KEY": "open-sesame"}
    code = FIND.format(environment=environment, removed=[], store=s3_backend.expression())
    said = start(code).communicate(timeout=50)[0]
    assert "SignatureDoesNotMatch" in said
    assert "open-sesame" not in said
    assert os.environ["AWS_ACCESS_KEY_ID"] not in said


def test_credentials_that_changed_in_a_running_process_are_used(
    s3_server: "S3Server", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The session once kept the first credentials that it saw, so a second server refused the whole process.
    assert S3Store(s3_server.bucket, "none", s3_server.endpoint, tmp_path / "a").find(KEY) is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    with pytest.raises(StoreError, match="InvalidAccessKeyId"):
        S3Store(s3_server.bucket, "none", s3_server.endpoint, tmp_path / "b").find(KEY)


def test_missing_credentials_are_asked_for(s3_backend: "S3Backend", start: Start, tmp_path: Path) -> None:
    environment = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    removed = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    code = FIND.format(environment=environment, removed=removed, store=s3_backend.expression())
    said = start(code).communicate(timeout=50)[0]
    assert said.startswith(f"`{s3_backend.endpoint}`: got no credentials")
    assert "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said


def test_the_cache_answers_alone_and_is_mended_when_damaged(s3_backend: "S3Backend", folder: Path) -> None:
    reference = s3_backend.open().commit(KEY, "student", folder, [], {}, {})
    store = s3_backend.open()
    file = store.fetch(reference) / "a.bin"
    inode = file.stat().st_ino
    assert (store.fetch(reference) / "a.bin").stat().st_ino == inode
    file.chmod(0o644)
    file.write_bytes(b"abd")
    assert (store.fetch(reference) / "a.bin").read_bytes() == b"abc"
    for place in s3_backend.places("artifacts"):
        s3_backend.remove(place)
    assert (store.fetch(reference) / "a.bin").read_bytes() == b"abc"


def test_a_machine_that_is_gone_loses_its_lease_when_it_is_stale(s3_backend: "S3Backend") -> None:
    objects = Bucket(s3_backend.bucket, s3_backend.endpoint)
    place = f"{s3_backend.prefix}/leases/{KEY}"
    objects.write(place, b'{"owner":"gone","seconds":1.0,"renewal":7}')
    calls: list[int] = []
    began = time.monotonic()
    with s3_backend.open().lease(KEY, lambda: calls.append(1)):
        assert 1 < time.monotonic() - began < 8
        held = objects.read(place)
        assert held is not None
        assert b"gone" not in held.body
    assert calls == [1]
    assert objects.read(place) is None


def test_a_renewal_takes_away_the_ground_of_an_earlier_look(s3_backend: "S3Backend") -> None:
    # A rival who looked before a renewal and writes after it must fail: the etag has to change.
    objects = Bucket(s3_backend.bucket, s3_backend.endpoint)
    place = f"{s3_backend.prefix}/leases/{KEY}"
    with s3_backend.open().lease(KEY):
        seen = objects.read(place)
        assert seen is not None
        time.sleep(2 * s3_backend.lease_seconds / 3)
        assert objects.replace(place, b"mine", seen.etag) is None


def test_who_lost_the_lease_cannot_commit_and_leaves_it_to_the_other(
    s3_backend: "S3Backend", folder: Path
) -> None:
    objects = Bucket(s3_backend.bucket, s3_backend.endpoint)
    place = f"{s3_backend.prefix}/leases/{KEY}"
    other = b'{"owner":"other","seconds":60.0,"renewal":0}'
    store = s3_backend.open()
    with store.lease(KEY):
        objects.write(place, other)
        time.sleep(2 * s3_backend.lease_seconds / 3)
        with pytest.raises(StoreError, match="got another writer"):
            store.commit(KEY, "student", folder, [], {}, {})
    assert store.find(KEY) is None
    kept = objects.read(place)
    assert kept is not None
    assert kept.body == other


def test_a_holder_whose_server_was_away_still_holds_the_key(
    s3_backend: "S3Backend", folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own stopwatch once told it that the lease was lost, though nobody had taken it."""
    store = s3_backend.open()
    with store.lease(KEY):
        with monkeypatch.context() as patch:

            def away(*_: object) -> None:
                raise StoreAwayError(Problem("S3", "nothing", "an answer", "Wait."))

            patch.setattr(Bucket, "replace", away)
            time.sleep(2 * s3_backend.lease_seconds)
        assert store.commit(KEY, "student", folder, [], {}, {}) == store.find(KEY)


def test_a_rival_does_not_count_the_time_in_which_nobody_could_renew(
    s3_backend: "S3Backend", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was away for minutes made every lease stale, so two wrote at once when it was back."""
    objects = Bucket(s3_backend.bucket, s3_backend.endpoint)
    objects.write(f"{s3_backend.prefix}/leases/{KEY}", b'{"owner":"held","seconds":60.0,"renewal":7}')
    lease = S3Lease(objects, f"{s3_backend.prefix}/leases/{KEY}", 60.0)
    watch = [0.0]
    monkeypatch.setattr(s3_lease, "time", SimpleNamespace(monotonic=lambda: watch[0]))
    read = Bucket.read

    def look(at: float, took: float = 0.01) -> bool:
        """Whether a look at some second, answered after some more, finds the lease free."""
        watch[0] = at
        monkeypatch.setattr(
            Bucket, "read", lambda self, key: (watch.__setitem__(0, at + took), read(self, key))[1]
        )
        return lease._try([])

    assert not look(0)
    assert not look(50)
    # Asked at 60 s; the server was away and answers at 300 s.
    assert not look(60, took=240)
    assert not look(360)
    assert look(362)


def test_a_lease_that_cannot_be_read_is_named(s3_backend: "S3Backend") -> None:
    Bucket(s3_backend.bucket, s3_backend.endpoint).write(f"{s3_backend.prefix}/leases/{KEY}", b"?")
    with pytest.raises(StoreError, match=rf"leases/{KEY}`: got no lease"), s3_backend.open().lease(KEY):
        pytest.fail("took it")


LARGE = """
import resource
folder = Path({folder!r})
store = {store}
store.find(KEY)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put_checkpoint(KEY, "x", folder / "large")
reference = store.commit(KEY, "student", folder, [], {{}}, {{}})
assert (store.fetch(reference) / "large").stat().st_size == 100_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_large_files_do_not_pass_through_memory(
    s3_backend: "S3Backend", start: Start, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "large").open("wb") as file:
        file.truncate(100_000_000)
    code = LARGE.format(folder=str(tmp_path / "work"), store=s3_backend.expression())
    grown_kib = int(start(code).communicate(timeout=55)[0])
    assert grown_kib < 60_000
