"""What a store is after SIGKILL in bad moments, between racing processes, and on a full disk."""

import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.shared.local_store import LocalStore

if TYPE_CHECKING:
    from tests.shared.conftest import Backend, LocalBackend, S3Backend

KEY = "distill/" + "a" * 64
FILES = {"first.bin": b"1" * 3_000, "second.bin": b"2" * 3_000}
Start = Callable[..., "subprocess.Popen[str]"]

# Stops the process in the very moment that a system event names all the words, for its parent to kill it,
# or to let it go on.
PAUSE = """
def pause(event, arguments):
    text = event + repr(arguments)
    if all(word in text for word in words):
        words.append("never again")
        print("paused", flush=True)
        sys.stdin.readline()
words = list({words!r})
sys.addaudithook(pause)
store = {store}
folder = Path({folder!r})
{call}
"""
COMMIT = 'store.commit(KEY, "student", folder, [], {}, {})'
HOLD = """
with {store}.lease(KEY):
    print("held", flush=True)
    time.sleep(60)
"""
RACE = """
for _ in range(3):
    with {store}.lease(KEY):
        for word in ("in", "out"):
            with open({log!r}, "a") as log:
                log.write(word + str(os.getpid()) + "\\n")
            time.sleep(0.05)
"""


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    for name, data in FILES.items():
        (tmp_path / "work" / name).write_bytes(data)
    return tmp_path / "work"


def check_recovery(backend: "Backend", folder: Path) -> None:
    store = backend.open()
    assert store.find(KEY) is None
    assert f"artifacts/{KEY}/manifest.json" not in backend.places("artifacts")
    fetched = store.fetch(store.commit(KEY, "student", folder, [], {}, {}))
    assert {name: (fetched / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize(
    "words",
    [
        ("open", "staging", "second.bin", "'w'"),
        ("open", "staging", "manifest.json", "'w'"),
        ("os.rename", "staging"),
    ],
    ids=["second file", "manifest", "rename"],
)
def test_a_local_commit_killed_midway_leaves_nothing(
    local_backend: "LocalBackend", folder: Path, start: Start, words: tuple[str, ...]
) -> None:
    code = PAUSE.format(words=words, store=local_backend.expression(), folder=str(folder), call=COMMIT)
    process = start(code)
    assert line_of(process) == "paused"
    process.kill()
    process.wait()
    assert any(place.endswith("first.bin") for place in local_backend.places("staging"))
    check_recovery(local_backend, folder)
    assert [place for place in local_backend.places("staging") if not place.endswith(".lock")] == []


def test_a_checkpoint_killed_midway_leaves_the_one_before(
    local_backend: "LocalBackend", folder: Path, start: Start, tmp_path: Path
) -> None:
    store = local_backend.open()
    store.put_checkpoint(KEY, "step.pt", folder / "first.bin")
    call = 'store.put_checkpoint(KEY, "step.pt", folder / "second.bin")'
    words = ("os.rename", ".part")
    process = start(
        PAUSE.format(words=words, store=local_backend.expression(), folder=str(folder), call=call)
    )
    assert line_of(process) == "paused"
    process.kill()
    process.wait()
    assert len(local_backend.places("checkpoints")) == 2
    for name in ("first.bin", "second.bin"):
        assert store.get_checkpoint(KEY, "step.pt", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == FILES[name]
        store.put_checkpoint(KEY, "step.pt", folder / "second.bin")
    assert len(local_backend.places("checkpoints")) == 1


@pytest.mark.service
@pytest.mark.parametrize(
    "words", [("http.client.send", "PUT", "second.bin"), ("http.client.send", "PUT", "manifest.json")]
)
def test_an_s3_commit_killed_midway_leaves_no_manifest(
    s3_backend: "S3Backend", folder: Path, start: Start, words: tuple[str, ...]
) -> None:
    code = PAUSE.format(words=words, store=s3_backend.expression(), folder=str(folder), call=COMMIT)
    process = start(code)
    assert line_of(process) == "paused"
    process.kill()
    process.wait()
    assert f"artifacts/{KEY}/first.bin" in s3_backend.places("artifacts")
    check_recovery(s3_backend, folder)


@pytest.mark.service
def test_of_two_commits_at_once_the_first_manifest_stays(
    s3_backend: "S3Backend", folder: Path, start: Start, tmp_path: Path
) -> None:
    call = f"print({COMMIT}.sha256)"
    words = ("http.client.send", "PUT", "manifest.json")
    process = start(PAUSE.format(words=words, store=s3_backend.expression(), folder=str(folder), call=call))
    assert line_of(process) == "paused"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "first.bin").write_bytes(b"other")
    first = s3_backend.open().commit(KEY, "student", tmp_path / "other", [], {}, {})
    assert process.communicate("go on\n", timeout=50)[0].strip() == first.sha256
    assert (s3_backend.open().fetch(first) / "first.bin").read_bytes() == b"other"


def test_a_killed_holder_on_this_machine_is_replaced_at_once(backend: "Backend", start: Start) -> None:
    process = start(HOLD.format(store=backend.expression()))
    assert line_of(process) == "held"
    process.kill()
    process.wait()
    began = time.monotonic()
    with backend.open().lease(KEY, lambda: pytest.fail("waited for the dead")):
        assert time.monotonic() - began < 1


def test_a_holder_who_is_only_slow_is_not_replaced(backend: "Backend", start: Start) -> None:
    process = start(HOLD.format(store=backend.expression()))
    assert line_of(process) == "held"
    rival = start(HOLD.format(store=backend.expression("elsewhere")))
    # A lease that nobody renews is stale after two seconds more than it lasts, at the latest.
    assert rival.stdout is not None
    assert select.select([rival.stdout], [], [], 2 + 2 * backend.lease_seconds)[0] == []
    process.kill()
    assert line_of(rival) == "held"


@pytest.mark.parametrize(
    "machines",
    [
        ("here", "here", "here"),
        # A local store knows no machines, so only the other one has to be asked twice.
        pytest.param(("here", "there", "elsewhere"), marks=pytest.mark.service),
    ],
)
def test_of_racing_processes_one_at_a_time_holds_a_key(
    backend: "Backend", start: Start, tmp_path: Path, machines: tuple[str, ...]
) -> None:
    log = tmp_path / "log"
    processes = [start(RACE.format(store=backend.expression(name), log=str(log))) for name in machines]
    assert [process.wait(50) for process in processes] == [0, 0, 0]
    words = log.read_text().split()
    assert len(words) == 2 * 3 * 3
    for enter, leave in zip(words[::2], words[1::2], strict=True):
        assert (enter[:2], leave[:3]) == ("in", "out")
        assert enter[2:] == leave[3:]


FULL = """
store = {store}
source = Path({source!r})
before = {{path for path in Path({disk!r}).rglob("*") if path.is_file()}}
try:
    {call}
except StoreError as error:
    [problem] = error.problems
    print(type(error).__name__, problem.what, problem.got, problem.expected, sep="|")
left = {{path for path in Path({disk!r}).rglob("*") if path.is_file()}} - before
print(sum(path.stat().st_size for path in left), len([path for path in left if path.suffix != ".lock"]))
"""


def run_on_small_disk(start: Start, disk: Path, code: str) -> list[str]:
    """Run code where a folder is a disk of one MiB, which only the process itself sees."""
    disk.mkdir(parents=True)
    mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
    probe = subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {probe.stderr.decode()}")
    process = start(code, "unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh")
    return process.communicate(timeout=50)[0].splitlines()


@pytest.mark.parametrize(
    ("call", "needed"),
    [
        ('store.commit(KEY, "student", source, [], {}, {})', 4_000_000),
        ('store.put_checkpoint(KEY, "step.pt", source / "big")', 4_000_000),
        ('store.write_record(KEY, {"text": "x" * 2_000_000})', 2_000_011),
        ('LocalStore(source.parent / "away").get_checkpoint(KEY, "step.pt", store.root / "x")', 4_000_000),
    ],
    ids=["commit", "checkpoint", "record", "checkpoint out"],
)
def test_a_full_disk_is_told_with_its_numbers_and_leaves_nothing(
    start: Start, tmp_path: Path, call: str, needed: int
) -> None:
    disk, source = tmp_path / "disk", tmp_path / "work"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(4_000_000))
    LocalStore(tmp_path / "away").put_checkpoint(KEY, "step.pt", source / "big")
    store = f"LocalStore(Path({str(disk)!r}))"
    code = FULL.format(store=store, source=str(source), disk=str(disk), call=call)
    error, left = run_on_small_disk(start, disk, code)
    name, what, free, expected = error.split("|")
    assert name == "DiskFullError"
    assert what.startswith(str(disk))
    # The whole disk but for a few folders: what was half-written had been removed when this was counted.
    assert 900_000 < int(free.removesuffix(" bytes free")) <= 1 << 20
    # A commit's manifest takes a few hundred bytes.
    assert 0 <= int(expected.removesuffix(" bytes")) - needed < 500
    assert left == "0 0"


@pytest.mark.service
def test_a_cache_that_is_full_is_told_too(start: Start, tmp_path: Path, s3_backend: "S3Backend") -> None:
    source = tmp_path / "work"
    source.mkdir()
    (source / "big").write_bytes(os.urandom(4_000_000))
    s3_backend.open().commit(KEY, "student", source, [], {}, {})
    disk = s3_backend.caches / "small"
    call = "store.fetch(store.find(KEY))"
    code = FULL.format(store=s3_backend.expression("small"), source="", disk=str(disk), call=call)
    error, left = run_on_small_disk(start, disk, code)
    assert error.startswith(f"DiskFullError|{disk}/artifacts/distill/")
    assert left == "0 0"
