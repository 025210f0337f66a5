"""What a teacher has said already: one record a prompt and sample, so that only new ones are ever asked.

A record is named by a digest of what it was asked with; our code and the versions of libraries are not in it.
Where records are kept is not decided here; see `tasks.shared.record_shards`.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol

from configs.errors import Problem, RetortError

# Raise it when the same question to the same teacher would give something else than before.
FORMAT_VERSION = 1
SHARD_RECORDS = 256
_ROUNDS = 3


class Records(Protocol):
    """Keeps bytes under keys; what is there is never changed."""

    def known(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that have a record; payloads are not read."""
        ...

    def load(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The records of keys, verified; one that proves damaged is missing here and unknown from then on."""
        ...

    def append(self, records: Mapping[str, bytes]) -> None:
        """Keep records, in shards of at most `SHARD_RECORDS`, each as a whole or not at all."""
        ...


class RecordsMissing(RetortError):
    """Raised when records were asked for, made, and are still not there."""


def record_key(*parts: object) -> str:
    """The name of a record: BLAKE2b-256 of the parts as JSON, in 64 hexadecimal digits.

    Args:
        parts: All that decides the record, as JSON can say it: kind, teacher, prompt, sampling, number.

    Raises:
        TypeError: A part is nothing that JSON can say.
        ValueError: A number is not finite.
    """
    text = json.dumps([FORMAT_VERSION, *parts], sort_keys=True, allow_nan=False, separators=(",", ":"))
    return blake2b(text.encode("ascii"), digest_size=32).hexdigest()


def records_namespace(kind: str, teacher: str) -> str:
    """The name under which all records of one kind by one teacher are kept, such as `answer/<digest>`."""
    return f"{kind}/{record_key(kind, teacher)}"


def complete(
    records: Records,
    keys: Sequence[str],
    make: Callable[[list[str]], Iterable[Mapping[str, bytes]]],
) -> dict[str, bytes]:
    """The records of all keys; those that are not there are made, and kept piece by piece.

    Args:
        records: Where they are kept.
        keys: In the order in which missing ones are made; one may come several times.
        make: Gives the records of keys in pieces, each of which is kept as soon as it is there. Not called if
            nothing is missing.

    Raises:
        RecordsMissing: Some are not there even after they were made, three times over.
    """
    wanted = list(dict.fromkeys(keys))
    for _ in range(_ROUNDS):
        known = records.known(wanted)
        missing = [key for key in wanted if key not in known]
        if missing:
            for piece in make(missing):
                records.append(piece)
        found = records.load(wanted)
        # Reading may show that a record that was known is damaged; then it is made in the next round.
        if len(found) == len(wanted):
            return found
    raise RecordsMissing(
        Problem(
            "records",
            f"{len(found)} of {len(wanted)}",
            "all of them",
            "Check the disk and the store, then run again: what is there is not made again.",
        )
    )
