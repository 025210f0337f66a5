"""Everything of a home that nobody needs, and why the rest is needed."""

from collections import Counter
from dataclasses import dataclass

from tasks.garbage import leftovers
from tasks.garbage.artifacts import Held, needed, take_stock, unneeded
from tasks.garbage.roots import named_by_models, named_by_pages
from tasks.garbage.rubbish import Rubbish
from tasks.garbage.shelves import shelves
from tasks.place import WORK, Place
from tasks.withdrawals import held_before


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        rubbish: What to delete, artifacts first.
        kept: How many artifacts are kept for each reason, and the bytes that they take.
    """

    rubbish: list[Rubbish]
    kept: dict[str, tuple[int, int]]


def search(place: Place, days: float, reports: int) -> Found:
    """Look through every store of a home; nothing is changed.

    Args:
        place: The home, with its servers if it has some.
        days: What was used, written or set aside within so many days is left alone.
        reports: How many of the newest reports are kept however old.

    Raises:
        BrokenLogError: A log of models was changed; until it is mended, nobody can tell what is needed.
    """
    named = named_by_pages(place.home) | named_by_models(place)
    own = shelves(place)
    held = [take_stock(shelf) for shelf in own]
    stock = [one for some in held for one in some]
    why = needed(stock, named, days, reports)
    withdrawn = held_before(place.home)
    rubbish = unneeded(stock, why, withdrawn, days)
    for shelf, some in zip(own, held, strict=True):
        whole = {one.key for one in some if one.ref is not None}
        rubbish += leftovers.checkpoints(shelf, whole, days)
        rubbish += leftovers.set_aside(shelf, days, bool(withdrawn))
        rubbish += leftovers.records(shelf, {one.key for one in some}, days)
        rubbish += leftovers.half_written(shelf)
    rubbish += leftovers.scratch(place.home / WORK)
    if len(own) > 1:
        # Without the server nobody can tell what its copies are copies of.
        rubbish += leftovers.copies(place.copies, held[0], days)
    return Found(rubbish, _kept(stock, why, withdrawn))


def _kept(stock: list[Held], why: dict[str, str], withdrawn: set[str]) -> dict[str, tuple[int, int]]:
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for one in stock:
        if one.key in why and (one.ref is None or one.ref.sha256 not in withdrawn):
            counts[why[one.key]] += 1
            sizes[why[one.key]] += one.bytes
    return {words: (count, sizes[words]) for words, count in sorted(counts.items())}
