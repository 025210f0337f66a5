"""What Prefect, MLflow and the run around the stages cost, beside the same stages called as plain Python.

Both ways run the smoke case from nothing, each in a process and a home of its own, in turns: `retort run`,
and a loop that calls every stage with no server, no flow and no tracker. What the first takes longer is the
cost of a run, whatever its stages compute; it is set against the time that the stages of the default case
take. The last line on stdout is the result, one JSON object; `ratio` is plain time over orchestrated time of
the default case.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Interval, Worker, median_interval, note, print_result, run_alternating
from benchmarks.nights import seconds_of_run

ROOT = Path(__file__).resolve().parents[1]
WAYS = ("plain", "orchestrated")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".retort"), help="home of a finished default run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each way")
    parser.add_argument("--profile", type=Path, default=ROOT / "configs" / "smoke.yaml", help="what is run")
    parser.add_argument("--worker", choices=WAYS, help="run one way, once, and print its seconds")
    return parser.parse_args(arguments)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turns, or one of them once."""
    if options.worker:
        return {"seconds": run_once(options.worker, options.profile)}
    stages = seconds_of_run(options.home.absolute())
    workers = {way: Worker(way, "benchmarks.orchestration", _arguments(way, options.profile)) for way in WAYS}
    found = run_alternating(workers, options.rounds)
    seconds = {way: [float(answer["seconds"]) for answer in found[way]] for way in WAYS}
    differences = [slow - fast for slow, fast in zip(seconds["orchestrated"], seconds["plain"], strict=True)]
    cost = median_interval(differences)
    note(f"stages of the default case: {stages:.0f} s; a run costs {cost.median:.1f} s more than they do")
    return {
        "rounds": options.rounds,
        **{f"{way}_s": round(statistics.median(values), 1) for way, values in seconds.items()},
        "cost_s": _rounded(cost, 1),
        "default_stages_s": round(stages, 1),
        # The dearer a run, the lower the ratio: the bounds change places.
        "ratio": _rounded(Interval(*(stages / (stages + s) for s in (cost.median, cost.high, cost.low))), 4),
    }


def _arguments(way: str, profile: Path) -> tuple[str, ...]:
    return ("--worker", way, "--profile", str(profile))


def _rounded(interval: Interval, digits: int) -> list[float]:
    return [round(value, digits) for value in (interval.median, interval.low, interval.high)]


def run_once(way: str, profile: Path) -> float:
    """Seconds of a run from nothing, imports of the libraries that stages need included."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        (_plain if way == "plain" else _orchestrated)(Path(folder), profile)
        return time.perf_counter() - started


def _orchestrated(home: Path, profile: Path) -> None:
    from rich.console import Console

    from configs.load import load_platform, load_run_config
    from flows.run import run_pipeline
    from tasks.shared.env import Env

    config = load_run_config(profile, [])
    run_pipeline(config, load_platform("embedded"), Env(home), Console(stderr=True, quiet=True))


def _plain(home: Path, profile: Path) -> None:
    from configs.load import load_run_config
    from flows.external import external_digests
    from flows.graph import walk
    from flows.run import resolve
    from tasks.place import Place
    from tasks.shared.hardware import faster_precision
    from tasks.shared.tracking import MemoryTracker, Tracker
    from tasks.stage import execute

    class Plain(Place):
        """A place that records nothing."""

        def tracker(self) -> Tracker:
            """Keeps what it is told in memory."""
            return MemoryTracker()

    config = resolve(load_run_config(profile, []), faster_precision(home / "cache" / "precision.json"))
    place = Plain(home=home, tracking_uri="none", experiment="none", quiet=True)
    walk(config, external_digests(config, place), lambda spec: execute(spec, place).ref)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the result."""
    print_result(measure, parse(arguments))


if __name__ == "__main__":
    main()
