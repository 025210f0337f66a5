"""The chaos script: what it calls lost and computed twice, its tools, and a small form of all of it."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import add_up, measure, parse
from benchmarks.chaos_clock import DAY, Clock
from benchmarks.chaos_home import Execution, Home
from benchmarks.chaos_relay import Cut, Relay
from tasks.shared.artifacts import ArtifactRef

DIGESTS = {"ppo": "p", "figures": "f"}


def result(**changes: Any) -> dict[str, Any]:
    return {"digests": DIGESTS, "lost": [], "twice": [], **changes}


def test_all_is_well() -> None:
    events = {"lost": 0, "twice": 0, "acknowledged": 7}
    total = add_up(
        {"undisturbed": result(), "kills": result(kills=3, events=events), "at_once": result(killed=1)}
    )
    assert (total["kills"], total["identical"], total["lost"], total["run_twice"]) == (4, True, 0, 0)
    assert (total["acknowledged"], total["skipped"]) == (7, {})


@pytest.mark.parametrize(
    ("worse", "name", "value"),
    [
        (result(digests={"ppo": "p", "figures": "g"}), "identical", False),
        (result(lost=["a"]), "lost", 1),
        (result(events={"lost": 2, "twice": 0, "acknowledged": 9}), "lost", 2),
        (result(twice=["a", "b"]), "run_twice", 2),
        (result(events={"lost": 0, "twice": 1, "acknowledged": 9}), "run_twice", 1),
        ({"skipped": "no disk"}, "skipped", {"worse": "no disk"}),
    ],
)
def test_what_went_wrong_is_in_the_totals(worse: dict[str, Any], name: str, value: object) -> None:
    total = add_up({"undisturbed": result(), "worse": worse})
    assert total[name] == value
    well = add_up({"undisturbed": result()})
    assert {key for key in ("kills", "identical", "lost", "run_twice") if total[key] != well[key]} == {
        name
    } - {"skipped"}


def ref(key: str, sha256: str) -> ArtifactRef:
    return ArtifactRef(
        kind="ppo", key=key, uri="", sha256=sha256 * 64, schema_version=1, parents=(), summary={}
    )


def test_a_home_counts_what_is_lost_and_computed_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {"stays": ref("stays", "a"), "goes": ref("goes", "b"), "bad": ref("bad", "c")}
    runs = [Execution("1", "stays", "FINISHED")]
    monkeypatch.setattr(Home, "finished", lambda self: dict(stored))
    monkeypatch.setattr(Home, "executions", lambda self: list(runs))
    home = Home(tmp_path)
    with home.watched(damaged=["bad"]):
        stored["bad"] = ref("bad", "d")
        runs.extend([Execution("2", "bad", "FINISHED"), Execution("3", "new", "KILLED")])
        runs.append(Execution("4", "new", "FINISHED"))
    assert (home.twice, home.lost) == ([], [])
    with home.watched():
        stored["stays"] = ref("stays", "f")
        del stored["goes"]
        runs.extend(Execution(str(n), key, "FINISHED") for n, key in enumerate(["stays", "own", "own"], 5))
    assert (home.twice, home.lost) == (["stays", "own"], ["stays", "goes"])


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it is sent, a hundred times; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    while data := client.recv(65536):
                        try:
                            client.sendall(100 * data)
                        except OSError:
                            break

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def talk(address: str, *words: bytes) -> int:
    """Send words on one connection; gives how many bytes come back before it ends or is silent."""
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=1) as line:
        got = 0
        try:
            for word in words:
                line.sendall(word)
            line.shutdown(socket.SHUT_WR)
            while data := line.recv(65536):
                got += len(data)
        except OSError:
            pass
        return got


def test_a_relay_passes_all_on_but_for_its_cuts(echo: int) -> None:
    made: list[str] = []
    cuts = [
        Cut("PUT /up", True, lambda: made.append("up")),
        Cut("GET /down", False, lambda: made.append("down")),
    ]
    with Relay(echo, cuts).serving() as address:
        assert talk(address, b"GET /other") == 1000
        assert made == []
        # The cut comes in the middle: some of it was there, not all.
        assert 0 < talk(address, b"GET /down" + b"." * 991) < 100_000
        assert made == ["down"]
        assert talk(address, b"PUT /up" + b"." * 50_000) < 5_000_000
        assert made == ["down", "up"]
        # Once each.
        assert talk(address, b"GET /down" + b"." * 991) == 100_000
        assert made == ["down", "up"]


@pytest.mark.skipif(not Clock.can_be_had(), reason="needs a C compiler")
def test_a_clock_jumps_for_those_who_are_told(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    code = "import time; print(time.time(), time.monotonic())"

    def read() -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=dict(clock.variables),
            capture_output=True,
            text=True,
            check=True,
        )
        real, steady = done.stdout.split()
        return float(real), float(steady)

    before = read()
    clock.set_ahead(DAY)
    after = read()
    assert DAY <= after[0] - before[0] < DAY + 30
    assert 0 < after[1] - before[1] < 30


def test_numbers_that_measure_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--away", "1"], ["--kills", "-1"], ["--only", "peace"]):
        with pytest.raises(SystemExit):
            parse(arguments)


@pytest.mark.flow
@pytest.mark.service
@pytest.mark.timeout(900)
def test_killed_and_robbed_of_its_store_it_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    arguments = ["--kills", "3", "--away", "12", "--keep", str(tmp_path / "homes")]
    names = ("kills", "damage", "outage")
    total = measure(parse([*arguments, *(word for name in names for word in ("--only", name))]))
    assert (total["kills"], total["identical"], total["lost"], total["run_twice"]) == (3, True, 0, 0)
    assert total["acknowledged"] > 0
    told = total["scenarios"]
    assert told["damage"]["set_aside"] == ["distill", "label"]
    assert (told["outage"]["in_upload"], told["outage"]["in_download"]) == (True, True)
