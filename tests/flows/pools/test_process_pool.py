"""The pipeline with every stage in a process of its own, on servers that the environment names.

Three homes stand for three machines: that of the servers, that of the worker, and that of who starts the run.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.shared.launching import launch_server, wait_ready
from tasks.shared.processes import pick_ports, stop
from tasks.shared.servers import Launch, probe_worker
from tasks.shared.service_files import prefect_login, read_s3_credentials
from tasks.shared.services import client_settings, start_services, stop_services

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from tests.flows.conftest import Retort

pytestmark = [pytest.mark.flow, pytest.mark.service, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[3]
STAGES = ["clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate", "assess", "report"]
DEPLOY = ("deploy", "--pools", "process", "--no-gpu")
PATIENCE = 300


@dataclass(frozen=True)
class Cluster:
    """Servers, a worker, and the command of a machine that has neither."""

    servers: Path
    retort: "Retort"
    secrets: tuple[str, ...]

    def stage_runs(self) -> list["FlowRun"]:
        """What Prefect knows of stages that were started, in order."""
        code = (
            "import json; from prefect.client.orchestration import get_client\n"
            "from prefect.client.schemas.filters import FlowFilter, FlowFilterName\n"
            "with get_client(sync_client=True) as client:\n"
            "    runs = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=['stage'])))\n"
            "print(json.dumps([run.model_dump(mode='json') for run in runs]))"
        )
        from prefect.client.schemas.objects import FlowRun

        said = self.retort.python(code)
        assert said.code == 0, said.err
        runs = [FlowRun.model_validate(run) for run in json.loads(said.out)]
        return sorted(runs, key=lambda run: str(run.created))

    def run(self, *overrides: str) -> None:
        """Run the pipeline to its end."""
        result = self.retort.run_smoke(*overrides)
        assert result.code == 0, result.err


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, retort_at: Callable[..., "Retort"]
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    servers = folder / "servers"
    services = start_services(servers, lambda *_: None)
    worker = None
    try:
        login, keys = prefect_login(servers), read_s3_credentials(servers)
        told = client_settings(servers, services) | {
            "AWS_ENDPOINT_URL_S3": services.s3_endpoint,
            "RETORT_BUCKET": services.buckets[0],
            "RETORT_PLATFORM": "cluster",
        }
        retort = retort_at(folder / "client", environment=told)
        made = retort(*DEPLOY)
        assert made.code == 0, made.err
        worker = start_worker(folder / "worker", told)
        yield Cluster(servers, retort, (login.partition(":")[2], keys.secret_key))
    finally:
        stop([worker] if worker else [], 15)
        stop_services(servers)


def start_worker(home: Path, told: dict[str, str]) -> Any:
    """A worker of the pool, as somebody would start it on another machine."""
    home.mkdir()
    [port] = pick_ports({"worker": 0}).values()
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", "retort-cpu"]
    command += ["--type", "process", "--with-healthcheck", "--install-policy", "never"]
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    own = {
        "HOME": str(home),
        "RETORT_HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    (home / "logs").mkdir()
    record = launch_server(Launch(command, inherited | told | own, home), home, "worker", port)
    wait_ready({"worker": record}, {"worker": probe_worker}, lambda *_: None, PATIENCE)
    return record.process


def test_every_stage_is_a_process_of_its_own_and_a_second_run_starts_none(cluster: Cluster) -> None:
    cluster.run()
    assert cluster.retort.states() == dict.fromkeys(STAGES, "executed")
    runs = cluster.stage_runs()
    assert [run.name for run in runs] == STAGES
    assert len({run.infrastructure_pid for run in runs}) == len(STAGES)
    # Nothing is kept on the machine that started the run.
    assert not list(cluster.retort.home.glob("store/artifacts/*/*"))
    cluster.run()
    assert cluster.retort.states() == dict.fromkeys(STAGES, "cached")
    assert len(cluster.stage_runs()) == len(STAGES)


def test_a_stage_that_is_killed_is_started_again(cluster: Cluster) -> None:
    before = len(cluster.stage_runs())
    with cluster.retort.start("run", str(cluster.retort.smoke), "--quiet", "assess.bias_questions=7") as run:
        pid = running(cluster, before, "assess", run)
        os.kill(pid, signal.SIGKILL)
        _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, err
    again = cluster.stage_runs()[before:]
    states = [(one.name, one.state_name) for one in again]
    assert states == [("assess", "Crashed"), ("assess", "Completed"), ("report", "Completed")]


def running(cluster: Cluster, before: int, stage: str, whole: subprocess.Popen[str]) -> int:
    """The process of a stage, once it runs."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and whole.poll() is None:
        for run in cluster.stage_runs()[before:]:
            if run.name == stage and run.state_name == "Running" and run.infrastructure_pid:
                return int(run.infrastructure_pid.rpartition(":")[2])
        time.sleep(0.2)
    raise AssertionError(f"{stage} did not begin: exit code {whole.poll()}")


def test_a_second_deploy_changes_nothing_and_a_changed_file_says_what(
    cluster: Cluster, tmp_path: Path
) -> None:
    again = cluster.retort(*DEPLOY)
    assert again.code == 0, again.err
    states = [line.split("│")[2].strip() for line in again.out.splitlines() if line.startswith("│")]
    assert set(states) == {"unchanged"}
    assert len(states) == 2 + 4 + 5
    changed = tmp_path / "prefect.yaml"
    text = (ROOT / "infra" / "prefect.yaml").read_text()
    changed.write_text(text.replace('"0 2 * * *"', '"30 3 * * *"'))
    said = cluster.retort(*DEPLOY, "--file", str(changed))
    [line] = [line for line in said.out.splitlines() if "changed" in line and "unchanged" not in line]
    assert "deployment nightly/nightly" in line
    assert "schedules" in line


def test_a_mistyped_key_is_named(cluster: Cluster, tmp_path: Path) -> None:
    wrong = tmp_path / "prefect.yaml"
    wrong.write_text((ROOT / "infra" / "prefect.yaml").read_text().replace("entrypoint:", "entrypiont:", 1))
    said = cluster.retort(*DEPLOY, "--file", str(wrong))
    assert said.code == 2
    assert "entrypiont" in said.err
    assert "entrypoint" in said.err


def test_no_secret_is_kept(cluster: Cluster) -> None:
    """Neither in databases, logs and artifacts, nor in what Prefect and MLflow were told."""
    kept = [path for path in cluster.servers.parent.rglob("*") if path.is_file()]
    own = {"prefect-login", "s3-credentials.json", "s3.json"}
    for secret in cluster.secrets:
        holders = {path.name for path in kept if secret.encode() in path.read_bytes()}
        assert holders <= own, holders - own
