"""`retort feedback serve` as people start and stop it, on real sockets."""

import http.client
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database
from tasks.feedback.web.serve import AddressError, is_loopback, listen, shown

ROOT = Path(__file__).parents[2]
Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(launch: Serve, sqlite_url: str, tmp_path: Path) -> Serve:
    """Starts the command; it is gone when the test ends."""
    variables = {"RETORT_HOME": str(tmp_path), "RETORT_FEEDBACK_URL": sqlite_url}
    return lambda *options: launch("-m", "flows.cli", "feedback", "serve", *options, variables=variables)


def test_a_free_port_on_loopback() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert is_loopback(listening)
        assert shown(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    with listen("localhost", 0) as listening:
        assert is_loopback(listening)


def test_all_addresses_are_not_loopback() -> None:
    with listen("0.0.0.0", 0) as listening:
        assert not is_loopback(listening)


def test_an_address_that_is_not_free_is_refused() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(AddressError, match=f"127.0.0.1:{port}.*in use.*--port"):
            listen("127.0.0.1", port)
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(AddressError, match=host):
            listen(host, 0)


@pytest.mark.service
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(serve: Serve, sqlite_url: str, ending: signal.Signals) -> None:
    with closing(Database(sqlite_url)) as database:
        token = Annotators(database).invite("anna")
    process = serve("--port", "0")
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("People judge at http://127.0.0.1:")
    port = int(line.split()[3].rpartition(":")[2])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/api/progress", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"done":0,"waiting":0}')
        assert answer.getheader("server") is None
        # The connection is still open: it keeps nobody from ending.
        process.send_signal(ending)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "Ended.\n", "")


@pytest.mark.service
def test_it_warns_when_other_machines_can_reach_it(serve: Serve) -> None:
    process = serve("--host", "0.0.0.0", "--port", "0")
    assert process.stdout
    process.stdout.readline()
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert err.startswith("Warning: other machines can reach it")


@pytest.mark.service
def test_a_taken_port_is_told_with_exit_code_2(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = serve("--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=50)
    assert (process.returncode, out) == (2, "")
    assert "--port" in err
    assert "Traceback" not in err
