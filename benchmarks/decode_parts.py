"""What both decode workers share: their command line, the clock and the answer."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.ppo_workload import PROMPT_TOKENS, Workload, load_workload
from benchmarks.probe import DTYPES, peak_rss_mb

Decode = Callable[[Workload, int, int], None]


def parse(description: str | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--precision", choices=tuple(DTYPES), required=True)
    parser.add_argument("--answers", type=int, default=32)
    parser.add_argument("--rows", type=int, default=32, help="answers decoded side by side")
    parser.add_argument("--turns", type=int, default=3, help="measured turns; one more warms up")
    return parser.parse_args()


def decode_flops(workload: Workload, answers: int) -> float:
    """Operations that decoding cannot do without: trunk for every token, head for every answered one.

    The last token of an answer is never read.
    """
    responses = sum(workload.lengths_of(0, answers))
    body, head = 2 * workload.body_parameters, 2 * workload.head_parameters
    return (answers * (PROMPT_TOKENS - 1) + responses) * body + responses * head


def measure(decode: Decode, options: argparse.Namespace) -> None:
    """Decode in turns, and print the worker's answer."""
    workload = load_workload(options.workload)
    seconds = []
    for _ in range(options.turns + 1):
        started = time.perf_counter()
        decode(workload, options.answers, options.rows)
        seconds.append(time.perf_counter() - started)
    answer = {
        "seconds": statistics.median(seconds[1:]),
        "turns": seconds,
        "tokens": sum(workload.lengths_of(0, options.answers)),
        "useful_flops": decode_flops(workload, options.answers),
        "peak_rss_mb": peak_rss_mb(),
        "precision": options.precision,
    }
    print(json.dumps(answer))
