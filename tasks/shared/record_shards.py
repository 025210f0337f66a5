"""Records in a store: immutable shards of a few hundred, each a Parquet file named by its own sha256.

A shard appears whole or not at all, and nobody ever changes one, so writers need no lock: what two of them
write at once are two files, or one file twice. A record that is in several shards is read from one of them.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ml.records import SHARD_RECORDS
from tasks.shared.artifacts import sha256_bytes
from tasks.shared.store import Store

Result = TypeVar("Result")

KEY, PAYLOAD = "key", "payload"
_SCHEMA = pa.schema([(KEY, pa.string()), (PAYLOAD, pa.binary())])


class RecordShards:
    """The `Records` of one namespace of a store.

    Args:
        store: Where shards are kept.
        namespace: A word, a slash and 64 hexadecimal digits; see `tasks.ml.records.records_namespace`.
        tell: Called with one line about each damaged shard.
    """

    def __init__(self, store: Store, namespace: str, tell: Callable[[str], object]) -> None:
        self._store, self._namespace, self._tell = store, namespace, tell
        self._shards: dict[str, set[str]] = {}
        self._places: dict[str, str] = {}

    def known(self, keys: Iterable[str]) -> set[str]:
        """Look for new shards and read their keys; those read before are remembered."""
        listed = set(self._store.list_shards(self._namespace))
        for name in [name for name in self._shards if name not in listed]:
            self._forget(name)
        for name in sorted(listed - self._shards.keys()):
            self._learn(name)
        return {key for key in keys if key in self._places}

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Read each shard that holds one of the keys once; a damaged one is set aside."""
        wanted = self.known(keys)
        by_shard: dict[str, set[str]] = {}
        for key in wanted:
            by_shard.setdefault(self._places[key], set()).add(key)
        found: dict[str, bytes] = {}
        for name, own in sorted(by_shard.items()):
            found |= {key: payload for key, payload in self._read(name) if key in own}
        return found

    def append(self, records: Mapping[str, bytes]) -> None:
        """Write shards in the order of the mapping; killed midway, the shards before are kept."""
        pairs = iter(records.items())
        while piece := dict(islice(pairs, SHARD_RECORDS)):
            name = self._store.put_shard(self._namespace, to_parquet(piece))
            self._remember(name, piece)

    def _learn(self, name: str) -> None:
        keys = self._opened(name, lambda path: _column(path, KEY))
        if keys is not None:
            self._remember(name, keys)

    def _read(self, name: str) -> Iterable[tuple[str, bytes]]:
        return self._opened(name, lambda path: _verified(path, name)) or ()

    def _opened(self, name: str, read: Callable[[Path], Result]) -> Result | None:
        """What `read` finds in a shard; a damaged copy is fetched once more, a damaged shard set aside."""
        for _ in range(2):
            path = self._store.get_shard(self._namespace, name)
            if path is None:
                break
            try:
                return read(path)
            except (OSError, KeyError, ValueError, pa.ArrowException) as error:
                if self._store.quarantine_shard(self._namespace, name):
                    what = f"shards/{self._namespace}/{name}"
                    self._tell(
                        f"`{what}`: damaged ({error}). It is now in quarantine/; its records are made again."
                    )
                    break
        self._forget(name)
        return None

    def _remember(self, name: str, keys: Iterable[str]) -> None:
        self._shards[name] = set(keys)
        self._places |= dict.fromkeys(self._shards[name], name)

    def _forget(self, name: str) -> None:
        gone = self._shards.pop(name, set())
        # A record may be in another shard as well, which then has to be found again.
        shared = {place for place, own in self._shards.items() if own & gone}
        for key in gone:
            self._places.pop(key, None)
        for place in shared:
            self._remember(place, self._shards[place])


def to_parquet(records: Mapping[str, bytes]) -> bytes:
    """A shard's bytes; the same records in the same order give the same bytes.

    Keys and payloads are separate column chunks, so keys are read without payloads. No statistics: they
    would repeat whole payloads in the footer.
    """
    arrays = [pa.array(list(records), pa.string()), pa.array(list(records.values()), pa.binary())]
    out = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=_SCHEMA),
        out,
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    return out.getvalue()


def _verified(path: Path, name: str) -> list[tuple[str, bytes]]:
    data = path.read_bytes()
    digest = sha256_bytes(data)
    if digest != name:
        raise ValueError(f"sha256 {digest}")
    keys, payloads = (_column(pa.BufferReader(data), column) for column in (KEY, PAYLOAD))
    return list(zip(keys, payloads, strict=True))


def _column(source: Any, name: str) -> list[Any]:
    """One column of a Parquet file; its pages are checked, the others are not read."""
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        values: list[Any] = file.read(columns=[name], use_threads=False).column(name).to_pylist()
    return values
