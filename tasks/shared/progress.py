"""Progress bars with elapsed and remaining time: live on a terminal, a few plain lines elsewhere.

`ConsoleBar` fits the protocol `Bar` of `tasks.ml.progress`, which pure loops take.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 30.0
SPEED_SECONDS = 180.0  # the remaining time is judged by this much of the past; a slow step must fit in


class ProgressBars:
    """The bars of one run; a context manager. `Console(quiet=True)` makes them silent.

    On a terminal they are drawn live. Elsewhere (a pipe, the log of a CI job) each bar prints one line every
    30 seconds at most, and one at its end, so that logs stay short.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._live = console.is_interactive
        self._clock = clock
        self._bars: list[ConsoleBar] = []
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            get_time=clock,
            refresh_per_second=2,
            speed_estimate_period=SPEED_SECONDS,
            disable=not self._live,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._bars:
            bar.end()
        self._progress.stop()

    def bar(self, description: str, total: int, unit: str) -> "ConsoleBar":
        """Add a bar, which ends when it reaches its total, or with the context.

        Args:
            description: What is being done, in a word or two.
            total: Steps until it is done; a resumed loop advances over what it need not do again.
            unit: What a step is, in the plural.
        """
        task = self._progress.add_task(description, total=total, unit=unit, note="")
        bar = ConsoleBar(self._progress, task, None if self._live else self._clock)
        self._bars.append(bar)
        return bar

    def say(self, line: str) -> None:
        """Print a line that stays, above the bars."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


class ConsoleBar:
    """One bar of `ProgressBars`."""

    def __init__(self, progress: Progress, task: TaskID, plain_clock: Callable[[], float] | None) -> None:
        self._progress = progress
        self._id = task
        self._task = next(known for known in progress.tasks if known.id == task)
        self._plain_clock = plain_clock
        self._printed = plain_clock() if plain_clock else 0.0
        self._ended = False

    def advance(self, n: int = 1) -> None:
        """Count `n` more steps as done."""
        self._progress.advance(self._id, n)
        if self._task.finished:
            self.end()
        elif self._plain_clock and self._plain_clock() - self._printed >= LINE_SECONDS:
            self._printed = self._plain_clock()
            self._print_line()

    def note(self, text: str) -> None:
        """Say in a few words how it goes; the last note stands."""
        self._progress.update(self._id, note=text)

    def end(self) -> None:
        """Stop the clock and, where lines are printed, print the last one; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self._progress.stop_task(self._id)
        if self._plain_clock:
            self._print_line()

    def _print_line(self) -> None:
        task = self._task
        done = f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}"
        parts = [f"{task.description}: {done}", f"{_minutes(task.elapsed)} elapsed"]
        if not self._ended:
            parts.append(f"{_minutes(task.time_remaining)} left")
        if task.fields["note"]:
            parts.append(task.fields["note"])
        self._progress.console.print(", ".join(parts), markup=False, highlight=False, soft_wrap=True)


def _minutes(seconds: float | None) -> str:
    return "-:--" if seconds is None else str(timedelta(seconds=round(seconds)))
