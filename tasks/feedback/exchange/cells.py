"""What stands in one cell of a table: yes or no, a mark, a rank."""

import math
from typing import Any

from tasks.feedback.exchange.reading import BadRow

YES = {"true", "yes", "1", "up", "good"}
NO = {"false", "no", "0", "down", "bad"}
FAIL = {"f", "fail", "failed"}


def as_truth(value: Any, name: str) -> bool | None:
    """Yes or no; None for an empty cell.

    Raises:
        BadRow: It is neither.
    """
    if value is None or value == "" or isinstance(value, bool):
        return None if value == "" else value
    # A column of numbers with empty cells comes as 1.0 and 0.0.
    word = str(value).strip().casefold().removesuffix(".0")
    if word in YES or word in NO:
        return word in YES
    raise BadRow(f"`{name}` is {str(value)[:40]!r}, neither true nor false")


def as_mark(value: Any, name: str) -> float:
    """A number.

    Raises:
        BadRow: It is none.
    """
    if value is None or value == "":
        raise BadRow(f"`{name}` is missing")
    try:
        mark = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        mark = math.nan
    if math.isnan(mark):
        raise BadRow(f"`{name}` is {str(value)[:40]!r}, not a number")
    return mark


def spread(mark: float, low: float, high: float, name: str) -> float:
    """Move a mark from its scale to ours in a straight line: 1 + 4 (mark - low) / (high - low).

    The order of marks and the ratios of their gaps stay; what a mark meant in words does not move with it.

    Raises:
        BadRow: The mark is off its scale.
    """
    if not low <= mark <= high:
        raise BadRow(f"`{name}` is {mark:g}, off the scale of {low:g} to {high:g}")
    return 1 + 4 * (mark - low) / (high - low)


def as_rank(value: Any, name: str) -> int | None:
    """A rank from 1, the best; None for F, which a list may also hold as null.

    Raises:
        BadRow: It is no whole number of at least 1, or nothing.
    """
    if value is None or (isinstance(value, str) and value.strip().casefold() in FAIL):
        return None
    rank = as_mark(None if value == "" else value, name)
    if rank < 1 or not float(rank).is_integer():
        raise BadRow(f"`{name}` is {rank:g}, not a rank of 1, 2, ... or F")
    return int(rank)
