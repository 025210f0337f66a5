"""The Prefect server of a single run: it comes up beside others and never outlives its run."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tasks.shared.env import server_environment
from tasks.shared.errors import ServiceError
from tasks.shared.processes import birth
from tasks.shared.run_prefect import start_prefect
from tasks.shared.service_files import prefect_login

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home whose database the first test creates."""
    return tmp_path_factory.mktemp("run_prefect")


def _count_flows(home: Path, api_url: str) -> Any:
    login = base64.b64encode(prefect_login(home).encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{api_url}/flows/count", b"{}", headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


@pytest.mark.service
@pytest.mark.timeout(150)
def test_two_runs_that_begin_a_database_together_both_get_a_server(home: Path) -> None:
    """Two Prefect servers that create the tables of one database at a time break each other."""
    environment = server_environment(home)
    runs = [start_prefect(home, environment) for _ in range(2)]
    try:
        for run in runs:
            run.wait_ready()
            assert _count_flows(home, run.api_url) == 0
    finally:
        for run in runs:
            run.stop()
    assert [birth(run.pid) for run in runs] == [None, None]
    runs[0].stop()


@pytest.mark.service
@pytest.mark.timeout(150)
def test_a_server_that_is_killed_comes_back_at_its_port(home: Path) -> None:
    """The run failed at its end, hours later, for want of a server that only shows it."""
    run = start_prefect(home, server_environment(home))
    try:
        run.wait_ready()
        first = run.pid
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert _count_flows(home, run.api_url) == 0
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert run.pid != first
    finally:
        run.stop()
    assert [birth(pid) for pid in (first, run.pid)] == [None, None]


@pytest.mark.service
@pytest.mark.timeout(150)
def test_the_prefect_of_a_run_dies_with_a_killed_parent(home: Path) -> None:
    """`kill -9` of a run gives it no chance to stop its server; a thread's end must not stop it either."""
    code = f"""
import threading, time
from pathlib import Path
from tasks.shared.env import server_environment
from tasks.shared.run_prefect import start_prefect

def work():
    global server
    server = start_prefect(Path({str(home)!r}), server_environment(Path({str(home)!r})))

thread = threading.Thread(target=work)
thread.start()
thread.join()
server.wait_ready()
print(server.pid, server.api_url, flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            pid, url = run.stdout.readline().split()
            assert _count_flows(home, url) == 0
        finally:
            run.kill()
    deadline = time.monotonic() + 15
    while birth(int(pid)) is not None:
        assert time.monotonic() < deadline, "the server outlives its run"
        time.sleep(0.1)


@pytest.mark.service
@pytest.mark.timeout(150)
def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_bytes(b"not a database, but as long as one. " * 99)
    run = start_prefect(tmp_path, server_environment(tmp_path))
    with pytest.raises(ServiceError, match="file is not a database"):
        run.wait_ready()
