"""Disturb the pipeline in every way that we could think of, and count what it costs: it should be nothing.

Every scenario ends with a run that is let alone, and what that ends in is compared with an undisturbed run,
to the last bit but for how fast models answered.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaos_home import Home
from benchmarks.chaos_scenarios import (
    LEAST_AWAY_SECONDS,
    Found,
    Lab,
    at_once,
    clock,
    damage,
    full_disk,
    kills,
    orchestrator,
    outage,
    served_kills,
    servers,
)
from benchmarks.harness import note, print_result

ALONE = ("kills", "damage", "at_once", "orchestrator", "full_disk", "clock")
SERVED = ("served_kills", "outage")
# Of the kills, those that strike on the servers.
SERVED_SHARE = 0.4


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was counted, as one JSON object."""
    print_result(measure, parse(arguments))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of runs, at random moments")
    parser.add_argument("--away", type=float, default=60, help="seconds that the S3 server is away each time")
    parser.add_argument("--disk-mib", type=int, default=14, help="size of the disk that fills up")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", action="append", choices=(*ALONE, *SERVED), help="repeat it; default: all")
    parser.add_argument("--keep", type=Path, help="a new folder for all homes, which then stays")
    options = parser.parse_args(arguments)
    if options.kills < 0 or options.away < LEAST_AWAY_SECONDS:
        parser.error(f"--kills must not be negative, --away at least {LEAST_AWAY_SECONDS}")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the scenarios and add up."""
    began = time.monotonic()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="retort-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        results = run_all(folder, options)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return add_up(results) | {"seconds": round(time.monotonic() - began)}


def run_all(folder: Path, options: argparse.Namespace) -> dict[str, Found]:
    """The undisturbed run, then every scenario that was asked for."""
    wanted = options.only or (*ALONE, *SERVED)
    (folder / "undisturbed").mkdir()
    reference = Home(folder / "undisturbed" / "home")
    reference.finish(reference.start())
    lab = Lab(folder, random.Random(options.seed), reference, options.away)
    on_servers = round(SERVED_SHARE * options.kills) if "served_kills" in wanted else 0
    acts: dict[str, Callable[[], Found]] = {
        "kills": lambda: kills(lab, options.kills - on_servers),
        "damage": lambda: damage(lab),
        "at_once": lambda: at_once(lab),
        "orchestrator": lambda: orchestrator(lab),
        "full_disk": lambda: full_disk(lab, options.disk_mib),
        "clock": lambda: clock(lab),
    }
    results: dict[str, Found] = {"undisturbed": {"digests": reference.digests(), "lost": [], "twice": []}}
    for name in ALONE:
        if name in wanted:
            results[name] = timed(name, acts[name])
    if set(SERVED) & set(wanted):
        with servers(lab) as home:
            results["served_kills"] = timed("served_kills", lambda: served_kills(lab, home, on_servers))
            if "outage" in wanted:
                results["outage"] = timed("outage", lambda: outage(lab, home))
    return results


def timed(name: str, act: Callable[[], Found]) -> Found:
    """What a scenario found, with its seconds."""
    began = time.monotonic()
    note(f"{name} ...")
    result = act() | {"seconds": round(time.monotonic() - began, 1)}
    note(f"{name}: {result}")
    return result


def add_up(results: Mapping[str, Found]) -> dict[str, Any]:
    """The totals, and what each scenario has to tell.

    `identical` is whether every run ended in the digests of the undisturbed one; `lost` counts finished
    artifacts that were gone and judgements that were acknowledged and are not stored; `run_twice` stages that
    were computed again though they were finished, and judgements that are stored twice.
    """
    expected = results["undisturbed"]["digests"]
    done = {name: result for name, result in results.items() if "skipped" not in result}
    events = [result["events"] for result in done.values() if "events" in result]
    told = {
        name: {key: value for key, value in result.items() if key != "digests"}
        | {"identical": result["digests"] == expected}
        for name, result in done.items()
    }
    return {
        "kills": sum(result.get("kills", result.get("killed", 0)) for result in done.values()),
        "identical": all(scenario["identical"] for scenario in told.values()),
        "lost": sum(len(r["lost"]) for r in done.values()) + sum(e["lost"] for e in events),
        "run_twice": sum(len(r["twice"]) for r in done.values()) + sum(e["twice"] for e in events),
        "acknowledged": sum(event["acknowledged"] for event in events),
        "skipped": {name: result["skipped"] for name, result in results.items() if "skipped" in result},
        "scenarios": told,
    }


if __name__ == "__main__":
    main()
