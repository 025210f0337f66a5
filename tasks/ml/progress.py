"""How a pure loop tells how far it has come, without knowing who listens.

The bars that people see are in `tasks.shared.progress`.
"""

from typing import Protocol


class Bar(Protocol):
    """Takes the steps of one loop."""

    def advance(self, n: int = 1) -> None:
        """Count `n` more steps as done."""

    def note(self, text: str) -> None:
        """Say in a few words how it goes, such as `loss 0.42`; the last note stands."""


class NoBar:
    """A bar that shows nothing."""

    def advance(self, n: int = 1) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""
