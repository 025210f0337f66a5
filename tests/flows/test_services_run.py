"""The pipeline on the servers of `retort up`, in a home that has an embedded run behind it."""

import base64
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.shared.service_files import prefect_login, read_s3_credentials
from tasks.shared.services import Services, find_services, stop_services

if TYPE_CHECKING:
    from tests.flows.conftest import Retort

pytestmark = [pytest.mark.flow, pytest.mark.service, pytest.mark.timeout(300)]

STAGES = ["clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate", "assess", "report"]
# What the second run on the servers changes too.
FIRST, SECOND = ("reward.epochs=2",), ("reward.epochs=2", "evaluate.shots=1")
FROM_REWARD, FROM_EVALUATE = STAGES[5:], STAGES[7:]


@dataclass(frozen=True)
class Servers:
    """A home whose servers run; two partial runs went through them after an embedded one."""

    retort: "Retort"
    services: Services
    first: dict[str, str]
    second: dict[str, str]

    def ask(self, server: str, path: str, question: object) -> Any:
        """What a server answers to a question by HTTP."""
        base = self.services.prefect_api_url if server == "prefect" else f"{self.services.mlflow_url}/api/2.0"
        body = json.dumps(question).encode()
        login = base64.b64encode(prefect_login(self.retort.home).encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
        request = urllib.request.Request(f"{base}/{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    def stored(self, prefix: str) -> set[str]:
        """The keys of the objects in the bucket below a prefix."""
        import boto3

        credentials = read_s3_credentials(self.retort.home)
        bucket = boto3.resource(
            "s3",
            endpoint_url=self.services.s3_endpoint,
            region_name="us-east-1",
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
        ).Bucket(self.services.buckets[0])
        return {stored.key for stored in bucket.objects.filter(Prefix=prefix)}


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, retort_at: Callable[[Path], "Retort"]
) -> Iterator[Servers]:
    retort = retort_at(tmp_path_factory.mktemp("servers") / "home")
    try:
        states = []
        embedded = retort.run_smoke()
        assert embedded.code == 0, embedded.err
        up = retort("up")
        assert up.code == 0, up.err
        for overrides in (FIRST, SECOND):
            result = retort.run_smoke(*overrides)
            assert result.code == 0, result.err
            states.append(retort.states())
        services = find_services(retort.home)
        assert services is not None
        yield Servers(retort, services, *states)
    finally:
        stop_services(retort.home)


def cached_until(stage: str) -> dict[str, str]:
    place = STAGES.index(stage)
    return dict.fromkeys(STAGES[:place], "cached") | dict.fromkeys(STAGES[place:], "executed")


def test_what_an_embedded_run_made_is_adopted(servers: Servers) -> None:
    assert servers.first == cached_until("reward")
    assert servers.second == cached_until("evaluate")
    for stage in STAGES[:5]:
        [folder] = (servers.retort.home / "store" / "artifacts" / stage).iterdir()
        files = {
            f"artifacts/{stage}/{folder.name}/{f.relative_to(folder)}"
            for f in folder.rglob("*")
            if f.is_file()
        }
        assert files == servers.stored(f"artifacts/{stage}/")


def test_artifacts_are_in_the_bucket_only(servers: Servers) -> None:
    manifests = {key for key in servers.stored("artifacts/") if key.endswith("/manifest.json")}
    assert [sum(key.startswith(f"artifacts/{stage}/") for key in manifests) for stage in STAGES] == [
        *[1] * 7,
        *[2] * 3,
    ]
    for stage in FROM_REWARD:
        # The embedded run's own; what the servers' runs made is not beside it.
        [folder] = (servers.retort.home / "store" / "artifacts" / stage).iterdir()
        assert f"artifacts/{stage}/{folder.name}/manifest.json" not in manifests
    assert not servers.stored("checkpoints/")


def test_prefect_shows_the_runs_and_which_stages_were_cached(servers: Servers) -> None:
    ours = {"flows": {"name": {"any_": ["distill-align"]}}, "sort": "START_TIME_ASC"}
    runs = servers.ask("prefect", "flow_runs/filter", ours)
    # The first is the embedded one: the servers share its database.
    assert [run["state"]["name"] for run in runs] == ["Completed"] * 3
    for run, stage in zip(runs, ("clean", "reward", "evaluate"), strict=True):
        chosen = {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        tasks = servers.ask("prefect", "task_runs/filter", chosen)
        names = {"cached": "Cached", "executed": "Completed"}
        assert {t["name"]: t["state"]["name"] for t in tasks} == {
            n: names[s] for n, s in cached_until(stage).items()
        }
        artifacts = servers.ask("prefect", "artifacts/filter", {"flow_runs": chosen["flow_runs"]})
        kinds = {artifact["key"]: artifact["type"] for artifact in artifacts}
        assert kinds.pop("closing-table") == "markdown"
        assert kinds == ({} if stage == "clean" else {"mlflow-run": "markdown"})


def test_mlflow_has_the_runs_with_their_files_in_the_bucket(servers: Servers) -> None:
    [experiment] = servers.ask(
        "mlflow", "mlflow/experiments/search", {"max_results": 9, "filter": "name = 'retort-s3'"}
    )["experiments"]
    assert experiment["artifact_location"].startswith("mlflow-artifacts:/")
    chosen = {"experiment_ids": [experiment["experiment_id"]], "max_results": 50}
    runs = servers.ask("mlflow", "mlflow/runs/search", chosen)["runs"]
    names = [run["info"]["run_name"] for run in runs]
    assert sorted(name for name in names if name in STAGES) == sorted([*FROM_REWARD, *FROM_EVALUATE])
    assert sum(name.startswith("smoke-") for name in names) == 2
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    files = servers.stored(f"mlflow/{experiment['experiment_id']}/")
    with_files = {
        r["info"]["run_name"] for r in runs if any(f"/{r['info']['run_id']}/artifacts/" in f for f in files)
    }
    assert with_files >= {"evaluate", "report", *(name for name in names if name not in STAGES)}
    # The registered model lies beside its run, not in it.
    assert any("/models/" in key and key.endswith("model.safetensors") for key in files)


def test_no_process_tried_to_reach_another_machine(servers: Servers) -> None:
    assert servers.retort.noted("network") == []


def test_a_dataset_in_the_bucket_is_read_with_its_bad_lines_set_aside(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    from configs.load import load_run_config
    from tasks.clean import questions_from_pairs
    from tasks.shared.services import client_settings

    for name, value in client_settings(servers.retort.home, servers.services).items():
        monkeypatch.setenv(name, value)
    lines = (
        b'{"q": "Is it wet?", "a": "Yes, it is."}\nnot json\n{"q": "Is it cold?", "a": "No, it is hot."}\n'
    )
    client = boto3.client("s3", endpoint_url=servers.services.s3_endpoint)
    client.put_object(Bucket=servers.services.buckets[0], Key="data/asked.jsonl", Body=lines)
    source = f"s3://{servers.services.buckets[0]}/data/asked.jsonl"
    overrides = ["data.kind=pairs", f"data.source={source}", "data.prompt_column=q", "data.answer_column=a"]
    config = load_run_config(Path("configs/smoke.yaml"), overrides).data
    rows, bad = questions_from_pairs(config, tmp_path, servers.services.s3_endpoint)
    assert [row.answer for row in rows] == ["Yes, it is.", "No, it is hot."]
    assert [(row.file, row.line) for row in bad] == [(source, 2)]


def test_nights_are_planned_and_a_worker_waits_for_them(servers: Servers) -> None:
    shown = servers.retort("schedule", "show", "--json")
    assert shown.code == 0, shown.err
    told = json.loads(shown.out)
    assert told["schedule"]["cron"] == "0 2 * * *"
    assert (told["nights"]["workers"], told["nights"]["waiting"]) == (1, [])
    paused = servers.retort("schedule", "pause")
    assert paused.out == "Kept, and told to the Prefect server.\n", paused.err
    # Prefect starts a server of its own if it is imported before it is told where ours is.
    assert "server" not in paused.err
    night = {"deployments": {"name": {"any_": ["nightly"]}}}
    assert [one["paused"] for one in servers.ask("prefect", "deployments/filter", night)] == [True]
    starters = ("retort: enough feedback", "retort: a night crashed")
    automations = {one["name"]: one["enabled"] for one in servers.ask("prefect", "automations/filter", {})}
    assert {name for name, enabled in automations.items() if not enabled} == set(starters)


def test_status_shows_servers_and_worker_and_down_stops_all(servers: Servers) -> None:
    shown = servers.retort("status")
    assert shown.code == 0
    assert shown.out.count("running") == 4
    for pid in servers.services.pids.values():
        assert str(pid) in shown.out
    down = servers.retort("down")
    assert down.code == 0
    assert sorted(line.split(":")[0] for line in down.out.splitlines()) == [
        "mlflow",
        "prefect",
        "s3",
        "worker",
    ]
    assert servers.retort.is_alone_within(20), servers.retort.survivors()
    # What is in the bucket is not seen without it: the embedded run is as it was.
    assert find_services(servers.retort.home) is None
    again = servers.retort.run_smoke()
    assert again.code == 0, again.err
    assert servers.retort.executed() == set()
