"""Records in each kind of store: whole, verified, cheap to look up, safe from kills and from each other."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from tasks.ml.records import complete, records_namespace
from tasks.shared.artifacts import sha256_bytes
from tasks.shared.errors import StoreError
from tasks.shared.record_shards import RecordShards, to_parquet

if TYPE_CHECKING:
    import subprocess

    from tests.shared.conftest import Backend

NAMESPACE = records_namespace("answer", "sha256:teacher")
OTHER = records_namespace("answer", "sha256:other")
# Payloads that do not compress, so that the size of a file says what is in it.
RECORDS = {f"{n:064x}": bytes((n * 7 + k * k) % 251 for k in range(40 * n)) for n in range(1, 9)}
Start = Callable[..., "subprocess.Popen[str]"]

WRITE = """
from tasks.shared.record_shards import RecordShards
records = RecordShards({store}, {namespace!r}, print)
for n in range({first}, {first} + 3):
    records.append({{f"{{n:064x}}": b"x" * n}})
print("written", flush=True)
sys.stdin.readline()
print("pause", flush=True)
words = {words!r}
def pause(event, arguments):
    text = event + repr(arguments)
    if words and all(word in text for word in words):
        words.clear()
        print("paused", flush=True)
        sys.stdin.readline()
sys.addaudithook(pause)
records.append({{f"{{9:064x}}": b"lost"}})
"""


def shards_of(backend: "Backend", tell: Callable[[str], object] = print) -> RecordShards:
    return RecordShards(backend.open(), NAMESPACE, tell)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go on\n")
    process.stdin.flush()


def test_what_is_appended_is_known_and_loaded_elsewhere(backend: "Backend") -> None:
    assert shards_of(backend).known(RECORDS) == set()
    shards_of(backend).append(RECORDS)
    elsewhere = RecordShards(backend.open("elsewhere"), NAMESPACE, pytest.fail)
    assert elsewhere.known([*RECORDS, "f" * 64]) == set(RECORDS)
    assert elsewhere.load([*RECORDS, "f" * 64]) == RECORDS
    assert RecordShards(backend.open(), OTHER, pytest.fail).known(RECORDS) == set()
    [place] = backend.places("shards")
    assert place == f"shards/{NAMESPACE}/{sha256_bytes(to_parquet(RECORDS))}"


def test_a_reader_sees_what_a_writer_adds_later(backend: "Backend") -> None:
    reader, writer = shards_of(backend), shards_of(backend)
    first, second = list(RECORDS)[:2]
    writer.append({first: RECORDS[first]})
    assert reader.known(RECORDS) == {first}
    writer.append({second: RECORDS[second]})
    assert reader.load(RECORDS) == {key: RECORDS[key] for key in (first, second)}


def test_a_shard_holds_at_most_256_records(local_backend: "Backend") -> None:
    many = {f"{n:064x}": b"" for n in range(600)}
    shards_of(local_backend).append(many)
    folder = local_backend.open()
    paths = [folder.get_shard(NAMESPACE, name) for name in folder.list_shards(NAMESPACE)]
    assert sorted(pq.ParquetFile(path).metadata.num_rows for path in paths) == [88, 256, 256]
    assert shards_of(local_backend).known(many) == set(many)


def test_the_same_records_again_are_the_same_file(backend: "Backend") -> None:
    for _ in range(2):
        shards_of(backend).append(RECORDS)
    assert len(backend.places("shards")) == 1
    half = dict(list(RECORDS.items())[:4])
    shards_of(backend).append(half)
    assert len(backend.places("shards")) == 2
    assert shards_of(backend).load(RECORDS) == RECORDS


def test_a_damaged_payload_is_set_aside_and_made_again(backend: "Backend") -> None:
    damaged, whole = dict(list(RECORDS.items())[:4]), dict(list(RECORDS.items())[4:])
    shards_of(backend).append(damaged)
    shards_of(backend).append(whole)
    data = bytearray(to_parquet(damaged))
    place = f"shards/{NAMESPACE}/{sha256_bytes(bytes(data))}"
    # Keys come first in the file, so what stands in the middle is of a payload.
    data[len(data) // 2] ^= 1
    backend.overwrite(place, bytes(data))
    said: list[str] = []
    records = RecordShards(backend.open("elsewhere"), NAMESPACE, said.append)
    # Keys are read without payloads.
    assert records.known(RECORDS) == set(RECORDS)
    assert said == []
    assert records.load(RECORDS) == whole
    assert said == [
        f"`{place}`: damaged (sha256 {sha256_bytes(bytes(data))}). "
        "It is now in quarantine/; its records are made again."
    ]
    assert records.known(RECORDS) == set(whole)
    assert backend.places("quarantine") == {f"quarantine/{place}"}
    made = complete(records, list(RECORDS), lambda keys: [{key: RECORDS[key] for key in keys}])
    assert made == RECORDS
    assert len(backend.places("shards")) == 2


def test_keys_that_cannot_be_read_are_set_aside_at_once(backend: "Backend") -> None:
    shards_of(backend).append(RECORDS)
    [place] = backend.places("shards")
    backend.overwrite(place, b"nothing of the kind")
    said: list[str] = []
    records = RecordShards(backend.open("elsewhere"), NAMESPACE, said.append)
    assert records.known(RECORDS) == set()
    [line] = said
    assert line.startswith(f"`{place}`: damaged (")
    assert backend.places("quarantine") == {f"quarantine/{place}"}


def test_a_record_in_two_shards_outlives_one_of_them(local_backend: "Backend") -> None:
    records = shards_of(local_backend, lambda line: None)
    records.append(RECORDS)
    first = dict(list(RECORDS.items())[:1])
    records.append(first)
    place = f"shards/{NAMESPACE}/{sha256_bytes(to_parquet(first))}"
    local_backend.overwrite(place, b"")
    assert records.load(first) == {}
    assert records.load(first) == first


@pytest.mark.service
def test_a_damaged_copy_on_this_machine_is_fetched_anew(s3_backend: "Backend") -> None:
    shards_of(s3_backend).append(RECORDS)
    [name] = s3_backend.open().list_shards(NAMESPACE)
    path = s3_backend.open().get_shard(NAMESPACE, name)
    assert path is not None
    data = bytearray(path.read_bytes())
    for place in (0, len(data) // 2):
        data[place] ^= 1
        path.write_bytes(bytes(data))
        assert RecordShards(s3_backend.open(), NAMESPACE, pytest.fail).load(RECORDS) == RECORDS
    path.write_bytes(b"rotten")
    assert RecordShards(s3_backend.open(), NAMESPACE, pytest.fail).known(RECORDS) == set(RECORDS)
    assert s3_backend.places("quarantine") == set()


def test_a_shard_that_is_gone_is_forgotten(backend: "Backend") -> None:
    records = shards_of(backend)
    records.append(RECORDS)
    [place] = backend.places("shards")
    backend.remove(place)
    assert records.known(RECORDS) == set()
    assert records.load(RECORDS) == {}


def test_a_name_that_leads_elsewhere_is_refused(backend: "Backend") -> None:
    for namespace, name in (("../answer", "a" * 64), (NAMESPACE, "../../x")):
        with pytest.raises(StoreError):
            backend.open().get_shard(namespace, name)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("local", ["os.rename", ".part"]),
        pytest.param("s3", ["http.client.send", "PUT", "shards/"], marks=pytest.mark.service),
    ],
)
def test_killed_while_writing_only_that_shard_is_lost(
    kind: str, words: list[str], request: pytest.FixtureRequest, start: Start
) -> None:
    backend: Backend = request.getfixturevalue(f"{kind}_backend")
    code = WRITE.format(store=backend.expression(), namespace=NAMESPACE, first=1, words=words)
    process = start(code)
    assert line_of(process) == "written"
    go_on(process)
    assert [line_of(process), line_of(process)] == ["pause", "paused"]
    process.kill()
    process.wait()
    records = RecordShards(backend.open(), NAMESPACE, pytest.fail)
    expected = {f"{n:064x}": b"x" * n for n in (1, 2, 3)}
    assert records.load([*expected, f"{9:064x}"]) == expected
    records.append({f"{9:064x}": b"lost"})
    assert shards_of(backend).load([f"{9:064x}"]) == {f"{9:064x}": b"lost"}


def test_two_processes_that_write_at_once_lose_nothing(backend: "Backend", start: Start) -> None:
    # Both write records 2 and 3, each with the same payload.
    codes = [
        WRITE.format(store=backend.expression(), namespace=NAMESPACE, first=first, words=[])
        for first in (1, 2)
    ]
    processes = [start(code) for code in codes]
    assert [line_of(process) for process in processes] == ["written", "written"]
    expected = {f"{n:064x}": b"x" * n for n in (1, 2, 3, 4)}
    assert RecordShards(backend.open(), NAMESPACE, pytest.fail).load(expected) == expected
    assert len(backend.places("shards")) == 4


def test_two_threads_that_write_the_same_shard_at_once_keep_it(local_backend: "Backend") -> None:
    threads = [threading.Thread(target=shards_of(local_backend).append, args=(RECORDS,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert RecordShards(local_backend.open(), NAMESPACE, pytest.fail).load(RECORDS) == RECORDS
    assert len(local_backend.places("shards")) == 1
