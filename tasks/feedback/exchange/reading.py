"""What all readers share: rows come in, and each gives events, or the reason why it gives none.

A reader never stops at a bad row. Where the rows come from is none of its business: whoever opened the file
hands them in.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.pseudonyms import Pseudonyms


class SourceRow(Protocol):
    """A row as it stands in a file."""

    @property
    def line(self) -> int:
        """Where it begins, from 1."""

    @property
    def values(self) -> dict[str, Any]:
        """Its values by column."""

    @property
    def raw(self) -> str:
        """Its text; empty in formats that are not text."""

    @property
    def reason(self) -> str:
        """Why it cannot be read; empty if it can."""


class BadRow(Exception):
    """What a row says is no judgement; the message says why."""


@dataclass(frozen=True)
class Bad:
    """A judgement that cannot be used, and why."""

    reason: str


@dataclass(frozen=True)
class Remark:
    """What is no event and no fault, but has to be counted: what nobody has judged yet, for instance."""

    what: str


Found = FeedbackEvent | Bad | Remark


@dataclass(frozen=True)
class Item:
    """A row with its number in the file, from 1."""

    number: int
    line: int
    values: dict[str, Any]
    raw: str
    reason: str = ""


@dataclass(frozen=True)
class Names:
    """What the source calls things: our name to its own, as `--map OURS=THEIRS` says."""

    given: Mapping[str, str] = field(default_factory=dict)

    def of(self, ours: str) -> str:
        """The source's name; ours where no other was given."""
        return self.given.get(ours, ours)

    def value(self, values: Mapping[str, Any], ours: str) -> Any:
        """What a row holds under the source's name; None for nothing and for an empty cell."""
        found = values.get(self.of(ours))
        return None if found == "" else found


@dataclass(frozen=True)
class Reading:
    """How the rows of one source are to be understood.

    Attributes:
        pseudonyms: What annotators are called who have names in it.
        names: What it calls things.
        annotator: Who judged where no row says it; a pseudonym already.
        simulated: Whether no person made the judgements.
        scale: The lowest and the highest mark of its ratings.
    """

    pseudonyms: Pseudonyms
    names: Names = field(default_factory=Names)
    annotator: str = "unknown"
    simulated: bool = False
    scale: tuple[float, float] = (1.0, 5.0)


Reader = Callable[[Mapping[str, Any], Reading], Iterator[Found]]


def numbered(rows: Iterable[SourceRow]) -> Iterator[Item]:
    """Number the rows of a file."""
    for number, row in enumerate(rows, start=1):
        raw = row.raw or json.dumps(row.values, default=str)
        yield Item(number, row.line, row.values, raw, row.reason)


def read(items: Iterable[Item], reader: Reader, reading: Reading) -> Iterator[tuple[Item, Found]]:
    """What each row comes to, in the order of the rows."""
    for item in items:
        for found in _read_one(item, reader, reading):
            yield item, found


def _read_one(item: Item, reader: Reader, reading: Reading) -> Iterator[Found]:
    if item.reason:
        yield Bad(item.reason)
        return
    try:
        yield from reader(item.values, reading)
    except BadRow as error:
        yield Bad(str(error))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Another tool's JSON can have any form, and no form of one row may end the import of the others.
        yield Bad(f"a row of an unknown form ({type(error).__name__}: {error})")


def parsed(value: Any, name: str, kind: type) -> Any:
    """A list or an object; in formats of plain text it stands in its cell as JSON.

    Raises:
        BadRow: It is neither that nor JSON of it.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise BadRow(f"`{name}` is text, but not JSON") from None
    if not isinstance(value, kind):
        got = "missing" if value is None else f"{type(value).__name__}, not {kind.__name__}"
        raise BadRow(f"`{name}` is {got}")
    return value
