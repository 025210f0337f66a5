"""Many annotators judge at once over real HTTP while the server is killed: nothing may be lost or doubled.

The server is `retort feedback serve` in a process of its own. Halfway it is killed (SIGKILL) and started
again. Afterwards the events in the store are compared with what the annotators were told is there.
"""

import argparse
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.feedback_clients import Acknowledged, Annotator, work_at_once
from benchmarks.feedback_server import end_page, free_port, start_page
from benchmarks.harness import note, percentile, print_result, processor_times, steal_share
from benchmarks.postgresql import postgresql
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore

KINDS = ("sqlite", "postgresql")
COMPARISONS_PER_SECOND = 50  # of one annotator; none gets that far
ANSWERS = 4
PATIENCE_SECONDS = 60


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what each kind of database stood, as one JSON object."""
    print_result(measure, parse(arguments))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of judging")
    parser.add_argument("--annotators", type=int, default=20, help="who judge at once")
    parser.add_argument("--database", choices=KINDS, action="append", help="repeat it; default: both")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or options.annotators < 1:
        parser.error("--seconds and --annotators must be positive")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Put load on a server for each kind of database."""
    return {kind: measure_one(kind, options) for kind in options.database or KINDS}


def measure_one(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Put load on a server, kill it halfway, and count."""
    before = processor_times()
    with (
        tempfile.TemporaryDirectory(prefix="retort-feedback-") as folder,
        _database(kind, Path(folder)) as url,
    ):
        annotators, down = _load(url, Path(folder), options)
        stored = stored_events(url)
    result = account(annotators, stored, options.seconds)
    result |= {"annotators": len(annotators), "seconds": options.seconds, "down_s": round(down, 2)}
    note(f"{kind}: {result}")
    return result | {"steal_share": steal_share(before, processor_times())}


@contextlib.contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'feedback.db'}"
    else:
        with postgresql() as url:
            yield url


def _load(url: str, folder: Path, options: argparse.Namespace) -> tuple[list[Annotator], float]:
    tokens = prepare(url, int(options.seconds * COMPARISONS_PER_SECOND), options.annotators)
    port = free_port()
    server = start_page(url, port, folder)
    try:
        until = time.monotonic() + options.seconds
        annotators = [Annotator(name, token, port, until, PATIENCE_SECONDS) for name, token in tokens.items()]
        threads = work_at_once(annotators)
        time.sleep(options.seconds / 2)
        server.kill()
        server.wait()
        killed = time.monotonic()
        server = start_page(url, port, folder)
        down = time.monotonic() - killed
        for thread in threads:
            thread.join()
        end_page(server)
    finally:
        server.kill()
        server.wait()
    return annotators, down


def prepare(url: str, comparisons: int, annotators: int) -> dict[str, str]:
    """Put comparisons into a store and invite annotators; gives the token of each."""
    database = Database(url)
    try:
        Comparisons(database).put([_comparison(number, annotators) for number in range(comparisons)])
        invite = Annotators(database).invite
        return {name: invite(name) for name in (f"load-{number:02}" for number in range(annotators))}
    finally:
        database.close()


def _comparison(number: int, wanted: int) -> Comparison:
    answers = tuple(
        Shown(text=f"Answer {place} to question {number}. " * 5, model=f"{place:064x}", stopped=True)
        for place in range(ANSWERS)
    )
    row = f"question-{number}"
    return Comparison(row=row, prompt=f"What is {row}?", answers=answers, wanted=wanted)


def stored_events(url: str) -> list[FeedbackEvent]:
    """All events of a store."""
    database = Database(url)
    try:
        return list(EventStore(database).events())
    finally:
        database.close()


def account(
    annotators: Sequence[Annotator], stored: Sequence[FeedbackEvent], seconds: float
) -> dict[str, Any]:
    """What was acknowledged against what is stored.

    `lost` counts what was acknowledged and is not stored as it was sent; `twice` what is stored beyond once
    for an annotator and a comparison; `unasked` what is stored and was never sent.
    """
    acknowledged = [(one.name, given) for one in annotators for given in one.acknowledged]
    by_id = {event.id: event for event in stored}
    times = Counter((event.annotator, event.comparison) for event in stored)
    sent = {(one.name, given["comparison"]) for one in annotators for given in one.pending}
    sent |= {(name, given.sent["comparison"]) for name, given in acknowledged}
    answered = sorted(given.answered for _, given in acknowledged) or [0.0]
    return {
        "acknowledged": len(acknowledged),
        "stored": len(stored),
        "lost": sum(not _is_stored(by_id.get(given.id), name, given) for name, given in acknowledged),
        "twice": len(stored) - len(times) + len(stored) - len(by_id),
        "unasked": len(times.keys() - sent),
        "unacknowledged": sum(len(one.pending) for one in annotators),
        "wrong_answers": [answer for one in annotators for answer in one.wrong][:5],
        "retries": sum(one.retries for one in annotators),
        "events_per_s": round(len(acknowledged) / seconds, 1),
        "p50_ms": round(1000 * percentile(answered, 0.5), 1),
        "p95_ms": round(1000 * percentile(answered, 0.95), 1),
        "longest_wait_s": round(max((given.waited for _, given in acknowledged), default=0.0), 2),
    }


def _is_stored(event: FeedbackEvent | None, name: str, given: Acknowledged) -> bool:
    if event is None:
        return False
    said = event.judgement.model_dump(mode="json")
    return (event.annotator, event.comparison, said, event.comment) == (
        name,
        given.sent["comparison"],
        given.sent["judgement"],
        given.sent["comment"],
    )


if __name__ == "__main__":
    main()
