"""Run two systems side by side and say how much they differ, and how sure that is.

A worker is a module run in a fresh process, so that nothing one system leaves behind (allocator, thread
pools, caches) is there for the other. It prints one JSON object as its last line. Nothing large is imported
here: a child's peak memory starts from what its parent held when it was started.
"""

import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import Problem, RetortError

THREADS = 2
ENVIRONMENT = {
    "OMP_NUM_THREADS": str(THREADS),
    "MKL_NUM_THREADS": str(THREADS),
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
RESAMPLES = 10_000
STEAL_COLUMN = 7  # of the line `cpu` in /proc/stat: user nice system idle iowait irq softirq steal guest ...
COUNTED_COLUMNS = 8  # guest time is part of user time already


class BenchmarkError(RetortError):
    """A worker failed, or what it printed is not an answer."""

    def __init__(self, what: str, got: str, expected: str, remedy: str) -> None:
        super().__init__(Problem(what, got, expected, remedy))


@dataclass(frozen=True)
class Worker:
    """One system under measurement.

    Attributes:
        name: In messages.
        module: Module run with `-m`, or empty if `arguments` says all.
        arguments: Its command line.
        python: Interpreter; empty: the running one.
        variables: Environment variables beside those of every worker.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    python: str = ""
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def command(self) -> list[str]:
        """What is run."""
        module = ["-m", self.module] if self.module else []
        return [self.python or sys.executable, *module, *self.arguments]


def command_arguments(values: Mapping[str, object]) -> tuple[str, ...]:
    """Options and their values as a command line."""
    return tuple(str(part) for pair in values.items() for part in pair)


@dataclass(frozen=True)
class Interval:
    """A median and its bootstrap interval."""

    median: float
    low: float
    high: float


def note(text: str) -> None:
    """Say what is going on, away from the answer on stdout."""
    print(text, file=sys.stderr, flush=True)


def print_result(measure: Callable[[Namespace], dict[str, Any]], options: Namespace) -> None:
    """Print what a benchmark measured as one JSON object, or its error; then end the process accordingly."""
    try:
        result = measure(options)
    except RetortError as error:
        note(str(error))
        raise SystemExit(error.exit_code) from None
    print(json.dumps(result))


def run_worker(worker: Worker, timeout: float = 600) -> dict[str, Any]:
    """Run a worker to its end and return the JSON object on its last line.

    Args:
        worker: What to run.
        timeout: Seconds after which it is killed.

    Raises:
        BenchmarkError: It failed, took too long, or its last line is no JSON object.
    """
    environment = {**os.environ, **ENVIRONMENT, **dict(worker.variables)}
    started = time.monotonic()
    try:
        done = subprocess.run(
            worker.command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(
            worker.name, f"no answer in {timeout:.0f} s", "an answer", "Give it less work."
        ) from None
    if done.returncode:
        complaint = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise BenchmarkError(
            worker.name,
            f"exit code {done.returncode}, and on stderr:\n{complaint}\n",
            "exit code 0",
            f"Run it alone: {' '.join(worker.command)}",
        )
    answer = last_json(done.stdout, worker.name)
    note(f"  {worker.name}: {time.monotonic() - started:.0f} s")
    return answer


def last_json(text: str, name: str) -> dict[str, Any]:
    """The JSON object on the last line that is not empty.

    Raises:
        BenchmarkError: There is none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    try:
        answer = json.loads(last)
    except json.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise BenchmarkError(
            name, f"`{last[:200]}` on the last line", "a JSON object", "Print the answer last, on one line."
        )
    return answer


def alternating(names: Sequence[str], rounds: int) -> Iterator[Sequence[str]]:
    """Names round by round, there and back (A B, B A, A B ...): a slow drift of the machine cancels out."""
    for index in range(rounds):
        yield names if index % 2 == 0 else names[::-1]


def run_alternating(
    workers: dict[str, Worker], rounds: int, seconds: float = math.inf
) -> dict[str, list[dict[str, Any]]]:
    """Run every worker once in each round; the n-th answers of two workers make a pair.

    Args:
        workers: By a short name.
        rounds: Most rounds, 1 at least; the first is always run.
        seconds: No round is begun that would end later than this if it took as long as the longest so far.
    """
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    started = time.monotonic()
    longest = 0.0
    for number, names in enumerate(alternating(list(workers), rounds), 1):
        begun = time.monotonic()
        if number > 1 and begun - started + longest > seconds:
            note(f"out of time after {number - 1} of {rounds} rounds")
            break
        note(f"round {number} of {rounds}")
        for name in names:
            answers[name].append(run_worker(workers[name]))
        longest = max(longest, time.monotonic() - begun)
    return answers


def precision_by_trial(peaks: Mapping[str, float], trial: Callable[[str], Worker]) -> str:
    """The precision in which a system takes less time; without a trial where there is but one.

    Args:
        peaks: What `benchmarks.probe` found worth trying.
        trial: Makes a worker that answers with `seconds`, a number or a list that begins with one.
    """
    if len(peaks) == 1:
        return next(iter(peaks))
    seconds = {precision: run_worker(trial(precision))["seconds"] for precision in peaks}
    return min(seconds, key=lambda precision: seconds[precision])


def pair_ratios(ours: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """How many times longer the baseline took, pair by pair."""
    return [theirs / own for own, theirs in zip(ours, baseline, strict=True)]


def median_interval(ratios: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Median of the ratios with a 95 % percentile bootstrap interval over pairs.

    Args:
        ratios: One of each pair; a single one has no spread, and its interval is itself.
        seed: Of the resampling.
        resamples: Number of bootstrap samples.
    """
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(resamples))
    return Interval(statistics.median(ratios), percentile(medians, 0.025), percentile(medians, 0.975))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the two nearest of ordered values."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def processor_times(path: Path = Path("/proc/stat")) -> list[int] | None:
    """Clock ticks of all processors by kind since the machine started; None where the system does not say."""
    if not path.exists():
        return None
    first = path.read_text().split("\n", 1)[0].split()
    return [int(field) for field in first[1 : 1 + COUNTED_COLUMNS]]


def steal_share(before: Sequence[int] | None, after: Sequence[int] | None) -> float | None:
    """Share of processor time that the host gave to others between two readings."""
    if before is None or after is None:
        return None
    spent = [late - early for early, late in zip(before, after, strict=True)]
    return spent[STEAL_COLUMN] / sum(spent) if sum(spent) else 0.0
