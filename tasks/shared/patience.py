"""Asking a server again that may be back soon, after pauses that grow and are drawn, until patience ends.

Only what talks to a server is asked again; a stage's arithmetic never is.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Answer = TypeVar("Answer")

# A server that restarts is back sooner; one that is not there is reported in under 15 s.
BRIEF_SECONDS = 8.0
# For a run under way: its stages may be hours old, and whoever tends the server may be asleep or at lunch.
LONG_SECONDS = 900.0
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 0.1, 5.0
# A shorter absence is nobody's concern.
_TELL_AFTER_SECONDS = 4.0


def tell_nobody(text: str) -> None:
    """Do nothing with a line: what is called by those who show nothing."""


@dataclass(frozen=True)
class Patience:
    """How long a server that went away is waited for.

    Attributes:
        seconds: From the first failure on; the try under way then may take longer.
        tell: Called with one line when waiting begins to take long, and one when it is over.
    """

    seconds: float = BRIEF_SECONDS
    tell: Callable[[str], object] = tell_nobody

    def insist(self, who: str, call: Callable[[], Answer], may_pass: Callable[[Exception], bool]) -> Answer:
        """Call until it succeeds or fails for good, and give its answer.

        Args:
            who: The server, for the lines that are told.
            call: What is tried; it must be harmless to do it twice.
            may_pass: Whether the same call may succeed a moment after this error.

        Raises:
            Exception: The last failure, when it cannot pass or patience ended.
        """
        began: float | None = None
        delay, told = _FIRST_DELAY_SECONDS, False
        while True:
            try:
                answer = call()
            except Exception as error:
                now = time.monotonic()
                began = now if began is None else began
                # Many who wait for one server must not all come back at once.
                pause = random.uniform(delay / 2, delay)
                if not may_pass(error) or now + pause > began + self.seconds:
                    raise
                if not told and now - began > _TELL_AFTER_SECONDS and self.seconds > BRIEF_SECONDS:
                    self.tell(f"{who} does not answer; waiting for up to {self.seconds / 60:.0f} min.")
                    told = True
            else:
                if told and began is not None:
                    self.tell(f"{who} is back after {time.monotonic() - began:.0f} s.")
                return answer
            time.sleep(pause)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
