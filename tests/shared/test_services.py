"""The local servers, for real: started, found, killed, started again and stopped."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tasks.shared.errors import ServiceError
from tasks.shared.processes import birth
from tasks.shared.service_files import prefect_login, read_records, read_s3_credentials
from tasks.shared.services import (
    Services,
    client_settings,
    find_services,
    services_status,
    start_services,
    stop_services,
)

NAMES = {"prefect", "mlflow", "s3"}
PARTS = {*NAMES, "worker"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a home whose servers, whatever the tests did to them, are stopped at the end."""
    folder = tmp_path_factory.mktemp("services") / "a home"
    yield folder
    stop_services(folder)


@pytest.fixture
def running(home: Path) -> Services:
    """Give the servers; what an earlier test killed is started again."""
    return start_services(home, lambda _name, _message: None)


def _state(home: Path, records: dict[str, Any]) -> None:
    home.mkdir(exist_ok=True)
    (home / "services.json").write_text(json.dumps(records))


def _record(pid: int, birth_of_it: str, home: Path) -> dict[str, Any]:
    process = {"pid": pid, "birth": birth_of_it}
    started = "2026-11-21T12:00:00Z"
    return {"port": 1, "process": process, "started_at": started, "log": str(home / "x.log"), "log_start": 0}


def _bucket(home: Path, services: Services) -> Any:
    import boto3

    credentials = read_s3_credentials(home)
    return boto3.resource(
        "s3",
        endpoint_url=services.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
    ).Bucket(services.buckets[0])


def _status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _ask(url: str, question: object, method: str = "POST", login: str = "") -> Any:
    data = json.dumps(question).encode()
    basic = f"Basic {base64.b64encode(login.encode()).decode()}"
    headers = {"Content-Type": "application/json", "Authorization": basic}
    request = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"{}")


def _wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_nothing_runs_in_a_new_home(tmp_path: Path) -> None:
    home = tmp_path / "none"
    assert find_services(home) is None
    assert stop_services(home) == {}
    assert [(row.name, row.state, row.pid) for row in services_status(home)] == [
        ("prefect", "not started", None),
        ("mlflow", "not started", None),
        ("s3", "not started", None),
        ("worker", "not started", None),
    ]
    assert not home.exists()


def test_a_stranger_with_a_recorded_number_is_not_stopped(tmp_path: Path) -> None:
    """After a reboot the numbers in the file belong to others; the file must go, the others must stay."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        try:
            _state(tmp_path, {name: _record(bystander.pid, "an earlier boot 1", tmp_path) for name in PARTS})
            assert {row.state for row in services_status(tmp_path)} == {"dead"}
            assert find_services(tmp_path) is None
            assert stop_services(tmp_path) == dict.fromkeys(PARTS, "was dead already")
            time.sleep(0.2)
            assert bystander.poll() is None
            assert not (tmp_path / "services.json").exists()
        finally:
            bystander.kill()


def test_a_living_server_that_does_not_answer_is_shown_as_such(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as mute:
        try:
            _state(tmp_path, {name: _record(mute.pid, birth(mute.pid) or "", tmp_path) for name in PARTS})
            assert {row.state for row in services_status(tmp_path)} == {"not answering"}
            assert find_services(tmp_path) is None
        finally:
            mute.kill()


@pytest.mark.service
@pytest.mark.timeout(150)
def test_up_gives_three_servers_that_work_together(home: Path, running: Services) -> None:
    assert _ask(f"{running.prefect_api_url}/flows/count", {}, login=prefect_login(home)) == 0
    found = _ask(f"{running.mlflow_url}/api/2.0/mlflow/experiments/search", {"max_results": 5})
    assert [experiment["artifact_location"] for experiment in found["experiments"]] == ["mlflow-artifacts:/0"]
    assert _ask(f"{running.mlflow_url}/api/2.0/mlflow-artifacts/artifacts/0/note.txt", "kept", "PUT") == {}
    bucket = _bucket(home, running)
    assert bucket.Object("mlflow/0/note.txt").get()["Body"].read() == b'"kept"'
    assert find_services(home) == running
    states = {row.name: row.state for row in services_status(home)}
    assert states == {**dict.fromkeys(NAMES, "running"), "worker": "not started"}


@pytest.mark.service
@pytest.mark.timeout(150)
def test_a_second_up_starts_nothing(home: Path, running: Services) -> None:
    records = read_records(home)
    messages: list[tuple[str, str]] = []
    assert start_services(home, lambda name, message: messages.append((name, message))) == running
    assert read_records(home) == records
    assert {name for name, message in messages if message.startswith("already started")} == NAMES


@pytest.mark.service
@pytest.mark.timeout(150)
def test_finding_the_servers_takes_no_time(home: Path, running: Services) -> None:
    began = time.monotonic()
    assert find_services(home) == running
    assert time.monotonic() - began < 0.5


@pytest.mark.service
@pytest.mark.timeout(150)
def test_secrets_are_nowhere_that_others_can_read(home: Path, running: Services) -> None:
    credentials = read_s3_credentials(home)
    logs = sorted((home / "logs").iterdir())
    assert {log.name for log in logs} >= {"prefect.log", "mlflow.log", "s3.log"}
    for place in [home / "services.json", *logs]:
        assert credentials.secret_key not in place.read_text(), place
        assert prefect_login(home) not in place.read_text(), place
    commands = [psutil.Process(pid).cmdline() for pid in running.pids.values()]
    for secret in (credentials.secret_key, prefect_login(home)):
        assert secret not in f"{commands} {running} {services_status(home)}"
    private = [home / "services.json", home / "s3-credentials.json", home / "prefect-login", *logs]
    private += [home / "mlflow.db", home / "prefect" / "prefect.db"]
    assert {path.name for path in private if path.stat().st_mode & 0o077} == set()
    assert home.stat().st_mode & 0o077 == 0


@pytest.mark.service
@pytest.mark.timeout(150)
def test_nobody_without_the_key_pair_gets_at_the_data(home: Path, running: Services) -> None:
    """The parts behind S3 do not know its users; by default they serve every object to anybody."""
    _bucket(home, running).put_object(Key="private", Body=b"x")
    assert _status_of(f"{running.s3_endpoint}/retort/private") == 403
    command = "\n".join(psutil.Process(running.pids["s3"]).cmdline())
    ports = dict(re.findall(r"^-(\w+)\.port=(\d+)$", command, re.MULTILINE))
    assert set(ports) == {"s3", "master", "volume", "filer", "admin"}
    assert _status_of(f"http://127.0.0.1:{ports['filer']}/buckets/retort/private") in (401, 404)
    assert _status_of(f"http://127.0.0.1:{ports['filer']}/buckets/retort/?limit=9") in (401, 404)
    assert _status_of(f"http://127.0.0.1:{ports['master']}/dir/status") == 404


@pytest.mark.service
@pytest.mark.timeout(150)
def test_nobody_without_the_login_gets_at_prefect(running: Services) -> None:
    """Whoever may talk to it may have the worker run any program."""
    url = f"{running.prefect_api_url}/flows/count"
    for login in ("", "retort:", "retort:wrong"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            _ask(url, {}, login=login)


@pytest.mark.service
@pytest.mark.timeout(150)
def test_every_port_is_on_loopback_only(running: Services) -> None:
    for pid in running.pids.values():
        connections = psutil.Process(pid).net_connections("inet")
        assert {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@pytest.mark.service
@pytest.mark.timeout(150)
def test_clients_find_the_servers_by_the_settings(home: Path, running: Services) -> None:
    settings = client_settings(home, running)
    assert settings["PREFECT_API_URL"] == running.prefect_api_url
    assert settings["MLFLOW_TRACKING_URI"] == running.mlflow_url
    code = f"""
import boto3
print(boto3.client("s3", endpoint_url={running.s3_endpoint!r}).list_buckets()["Buckets"][0]["Name"])
"""
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=settings, capture_output=True, check=True).stdout == b"retort\n"


@pytest.mark.service
@pytest.mark.timeout(150)
def test_a_killed_store_is_seen_and_comes_back_with_its_data(home: Path, running: Services) -> None:
    data = os.urandom(3_000_000)
    _bucket(home, running).put_object(Key="kept", Body=data)
    os.kill(running.pids["s3"], signal.SIGKILL)
    _wait_for(lambda: find_services(home) is None)
    states = {row.name: row.state for row in services_status(home)}
    assert states == {"s3": "dead", "prefect": "running", "mlflow": "running", "worker": "not started"}
    again = start_services(home, lambda _name, _message: None)
    assert again.pids["s3"] != running.pids["s3"]
    others = {"prefect": running.pids["prefect"], "mlflow": running.pids["mlflow"]}
    assert again == running.model_copy(update={"pids": {"s3": again.pids["s3"], **others}})
    assert _bucket(home, again).Object("kept").get()["Body"].read() == data


@pytest.mark.service
@pytest.mark.timeout(150)
def test_mlflow_follows_a_store_that_must_move(home: Path, running: Services) -> None:
    """It was told the store's address at its start, and would look for artifacts where nobody is."""
    artifact = "/api/2.0/mlflow-artifacts/artifacts/0/moved.txt"
    _ask(running.mlflow_url + artifact, "before", "PUT")
    port = int(running.s3_endpoint.rpartition(":")[2])
    os.kill(running.pids["s3"], signal.SIGKILL)
    _wait_for(lambda: birth(running.pids["s3"]) is None)
    with socket.create_server(("127.0.0.1", port)):
        again = start_services(home, lambda _name, _message: None)
    assert again.s3_endpoint != running.s3_endpoint
    assert again.mlflow_url == running.mlflow_url
    assert again.pids["mlflow"] != running.pids["mlflow"]
    assert again.pids["prefect"] == running.pids["prefect"]
    assert _ask(again.mlflow_url + artifact, None, "GET") == "before"


@pytest.mark.service
@pytest.mark.timeout(150)
def test_if_one_server_dies_at_the_start_the_others_are_stopped(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3" / "filerldb2").write_text("where SeaweedFS wants a folder")
    messages: list[tuple[str, str]] = []
    with pytest.raises(ServiceError, match="filerldb2") as caught:
        start_services(tmp_path, lambda name, message: messages.append((name, message)))
    assert [problem.what for problem in caught.value.problems] == ["s3"]
    assert str(tmp_path / "logs" / "s3.log") in caught.value.problems[0].remedy
    started = {name: int(re.findall(r"process (\d+)", message)[0]) for name, message in messages}
    assert set(started) == NAMES
    assert [birth(pid) for pid in started.values()] == [None, None, None]
    assert not (tmp_path / "services.json").exists()


@pytest.mark.service
@pytest.mark.timeout(150)
def test_down_stops_ours_and_nothing_else(home: Path, running: Services) -> None:
    os.kill(running.pids["mlflow"], signal.SIGKILL)
    _wait_for(lambda: birth(running.pids["mlflow"]) is None)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as bystander:
        try:
            outcomes = stop_services(home)
            assert bystander.poll() is None
        finally:
            bystander.kill()
    assert outcomes == {
        "s3": f"stopped (process {running.pids['s3']})",
        "prefect": f"stopped (process {running.pids['prefect']})",
        "mlflow": "was dead already",
    }
    assert [birth(pid) for pid in running.pids.values()] == [None, None, None]
    assert stop_services(home) == {}
