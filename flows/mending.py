"""Going on after a damaged artifact was met: it is set aside by then, and made anew on the way."""

from collections.abc import Callable
from typing import TypeVar

from tasks.place import SetAsideError

Result = TypeVar("Result")


def mend(attempt: Callable[[], Result]) -> Result:
    """Try once more whenever a damaged artifact was set aside; what was finished is then found.

    Args:
        attempt: Goes through stages from the first, so that it comes by the one whose artifact is gone.

    Raises:
        SetAsideError: The same artifact was damaged a second time, so the disk is to blame, or nothing in the
            attempt makes it.
    """
    seen: set[str] = set()
    while True:
        try:
            return attempt()
        except SetAsideError as error:
            if error.key in seen:
                raise
            seen.add(error.key)
