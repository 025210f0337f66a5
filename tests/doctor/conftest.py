"""How a test reads what the doctor found."""

from collections.abc import Callable, Iterable

import pytest

from tasks.doctor.check import Check, State

States = Callable[[Iterable[Check]], list[tuple[str, State]]]


@pytest.fixture
def states() -> States:
    """Give the names and states of checks, and see that whatever is not well says what to do."""

    def read(checks: Iterable[Check]) -> list[tuple[str, State]]:
        found = list(checks)
        assert all(bool(check.remedy) == (check.state != "ok") for check in found)
        return [(check.name, check.state) for check in found]

    return read
