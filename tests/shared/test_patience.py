"""How often a server is asked again, for how long, and what is told meanwhile."""

from collections.abc import Callable

import pytest

from tasks.shared import patience as module
from tasks.shared.patience import Patience


class Watch:
    """A stopwatch that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(module, "time", watch)
    return watch


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [error] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "answer"

    return call


def is_os_error(error: Exception) -> bool:
    return isinstance(error, OSError)


def test_pauses_grow_up_to_five_seconds_and_are_drawn(watch: Watch) -> None:
    assert Patience(900).insist("S3", failing(9, OSError()), is_os_error) == "answer"
    longest = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert len(watch.pauses) == 9
    for pause, most in zip(watch.pauses, longest, strict=True):
        assert most / 2 <= pause <= most
    assert len({pause / most for pause, most in zip(watch.pauses, longest, strict=True)}) == 9


def test_the_last_error_is_raised_when_patience_ends(watch: Watch) -> None:
    with pytest.raises(OSError, match="away"):
        Patience(8).insist("S3", failing(99, OSError("away")), is_os_error)
    # No pause reaches beyond the eighth second, and none that would fit is left out.
    assert 8 - 5 < watch.now - 100 <= 8


def test_what_cannot_pass_is_tried_once(watch: Watch) -> None:
    with pytest.raises(ValueError, match="wrong"):
        Patience(900).insist("S3", failing(1, ValueError("wrong")), is_os_error)
    assert watch.pauses == []


@pytest.mark.usefixtures("watch")
def test_a_long_wait_is_told_once_and_so_is_its_end() -> None:
    lines: list[str] = []
    Patience(900, lines.append).insist("S3", failing(12, OSError()), is_os_error)
    assert lines[0] == "S3 does not answer; waiting for up to 15 min."
    assert lines[1].startswith("S3 is back after ")
    assert len(lines) == 2


@pytest.mark.usefixtures("watch")
def test_a_moment_is_not_told() -> None:
    lines: list[str] = []
    Patience(900, lines.append).insist("S3", failing(3, OSError()), is_os_error)
    assert lines == []
