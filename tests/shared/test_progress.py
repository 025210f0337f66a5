"""Progress bars: a few plain lines where nobody watches, a live bar on a terminal."""

import io

from rich.console import Console

from tasks.ml.progress import Bar, NoBar
from tasks.shared.progress import ProgressBars


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def plain_bars() -> tuple[io.StringIO, Clock, ProgressBars]:
    text, clock = io.StringIO(), Clock()
    return text, clock, ProgressBars(Console(file=text, force_terminal=False), clock)


def train(bar: Bar, clock: Clock, steps: int, seconds: float) -> None:
    """A pure loop, which knows the protocol only."""
    for step in range(steps):
        clock.seconds += seconds
        bar.note(f"loss {1 / (step + 1):.2f}")
        bar.advance()


def test_log_gets_one_line_per_half_minute_and_one_at_the_end() -> None:
    text, clock, bars = plain_bars()
    with bars:
        train(bars.bar("distill", 100, "steps"), clock, steps=100, seconds=0.7)
    assert text.getvalue().splitlines() == [
        "distill: 43/100 steps, 0:00:30 elapsed, 0:00:40 left, loss 0.02",
        "distill: 86/100 steps, 0:01:00 elapsed, 0:00:10 left, loss 0.01",
        "distill: 100/100 steps, 0:01:10 elapsed, loss 0.01",
    ]


def test_fast_bar_prints_one_line() -> None:
    text, clock, bars = plain_bars()
    with bars:
        train(bars.bar("label", 3, "rows"), clock, steps=3, seconds=1.0)
    assert text.getvalue() == "label: 3/3 rows, 0:00:03 elapsed, loss 0.33\n"


def test_bar_that_stops_early_says_how_far_it_came() -> None:
    text, clock, bars = plain_bars()
    with bars:
        train(bars.bar("ppo", 10, "steps"), clock, steps=4, seconds=2.0)
    assert text.getvalue() == "ppo: 4/10 steps, 0:00:08 elapsed, loss 0.25\n"


def test_remaining_time_ignores_the_steps_that_a_resumed_loop_skips() -> None:
    text, clock, bars = plain_bars()
    with bars:
        bar = bars.bar("distill", 100, "steps")
        bar.advance(80)
        train(bar, clock, steps=5, seconds=8.0)
    first = text.getvalue().splitlines()[0]
    assert first == "distill: 84/100 steps, 0:00:32 elapsed, 0:02:08 left, loss 0.25"


def test_brackets_in_words_are_not_markup() -> None:
    text, clock, bars = plain_bars()
    with bars:
        bar = bars.bar("read [bold]", 1, "files")
        bar.note("[red]")
        bar.advance()
    assert text.getvalue() == "read [bold]: 1/1 files, 0:00:00 elapsed, [red]\n"


def test_terminal_shows_bar_note_and_times() -> None:
    text, clock = io.StringIO(), Clock()
    console = Console(file=text, force_terminal=True, width=120, _environ={"TERM": "xterm-256color"})
    with ProgressBars(console, clock) as bars:
        train(bars.bar("distill [x]", 8, "steps"), clock, steps=6, seconds=5.0)
    screen = text.getvalue()
    for shown in ("distill [x]", "6/8 steps", "0:00:30", "0:00:10", "loss 0.17"):
        assert shown in screen, shown


def test_quiet_console_is_silent() -> None:
    text, clock = io.StringIO(), Clock()
    with ProgressBars(Console(file=text, quiet=True), clock) as bars:
        train(bars.bar("distill", 3, "steps"), clock, steps=3, seconds=40.0)
    assert text.getvalue() == ""


def test_no_bar_takes_the_same_calls() -> None:
    train(NoBar(), Clock(), steps=2, seconds=1.0)


def test_a_line_that_is_said_stays_as_it_is() -> None:
    text, clock, bars = plain_bars()
    with bars:
        bars.say(
            "distill: [red]one[/red] line of more than eighty characters, which no terminal here breaks apart"
        )
        train(bars.bar("distill", 1, "steps"), clock, steps=1, seconds=1.0)
    first, second = text.getvalue().splitlines()
    assert first.startswith("distill: [red]one[/red] line")
    assert first.endswith("breaks apart")
    assert second.startswith("distill: 1/1 steps")
