"""The whole pipeline on tiny models: offline, recorded, cached, and unharmed by being killed."""

import json
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from benchmarks.chaos_home import OVERRIDES as SLOW

if TYPE_CHECKING:
    from tests.flows.conftest import Result, Retort

pytestmark = [
    pytest.mark.flow,
    pytest.mark.timeout(300),
    # MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

STAGES = ["clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate", "assess", "report"]
MODELS = {"unrefined", "teacher_zero_shot", "teacher_few_shot", "distilled", "aligned"}
METRICS = {"accuracy", "perplexity", "gold_win_rate", "tokens_per_second", "parameters"}
# 192.0.2.0/24 is nobody's.
REACHING_OUT = (
    "socket.create_connection(('192.0.2.1', 80), 1)",
    "socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 53))",
    "socket.getaddrinfo('example.invalid', 443)",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, retort_at: Any) -> tuple["Retort", "Result"]:
    """One run from nothing to the end, and what it said."""
    retort = retort_at(tmp_path_factory.mktemp("undisturbed") / "home")
    result = retort.run_smoke(*SLOW)
    assert result.code == 0, result.err
    return retort, result


@pytest.fixture
def again(undisturbed: tuple["Retort", "Result"], tmp_path: Path, retort_at: Any) -> "Retort":
    """A copy of the undisturbed run's home, to go on with."""
    shutil.copytree(undisturbed[0].home, tmp_path / "home")
    return retort_at(tmp_path / "home")


@pytest.fixture(scope="module")
def two_models(
    undisturbed: tuple["Retort", "Result"], tmp_path_factory: pytest.TempPathFactory, retort_at: Any
) -> "Retort":
    """A copy of that home after another run, which aligned its student at another pace."""
    home = tmp_path_factory.mktemp("two") / "home"
    shutil.copytree(undisturbed[0].home, home)
    retort = retort_at(home)
    result = retort.run_smoke(*SLOW, "ppo.learning_rate=0.0123")
    assert result.code == 0, result.err
    return retort


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_no_process_tries_to_reach_another_machine(undisturbed: tuple["Retort", "Result"]) -> None:
    retort, _ = undisturbed
    assert retort.noted("network") == []
    # The run and the Prefect server that it started were both watched.
    assert len(retort.noted("start")) >= 2
    assert any("prefect_process.py" in command for command in retort.noted("process"))


def test_the_block_itself_works(retort: "Retort") -> None:
    ends = [retort.python(f"import socket; {attempt}") for attempt in REACHING_OUT]
    assert [end.code for end in ends] == [1] * len(REACHING_OUT)
    assert all("this test blocks the network" in end.err for end in ends)
    assert len(retort.noted("network")) == len(REACHING_OUT)


def test_the_summary_has_every_stage_and_every_figure(undisturbed: tuple["Retort", "Result"]) -> None:
    retort, result = undisturbed
    summary = json.loads((retort.home / "latest" / "summary.json").read_text())
    assert [(s["name"], s["state"]) for s in summary["stages"]] == [(name, "executed") for name in STAGES]
    figures = {(f["metric"], f["model"]): f for f in summary["figures"]}
    # Worked examples are read before a model writes, and so cost no speed.
    wanted = {(metric, model) for metric in METRICS for model in MODELS}
    assert wanted - {("tokens_per_second", "teacher_few_shot")} <= figures.keys()
    assert figures["gold_win_rate", "distilled"]["value"] == 0.5
    assert figures["parameters", "distilled"]["value"] < figures["parameters", "teacher_zero_shot"]["value"]
    assert all(f["low"] <= f["value"] <= f["high"] for f in summary["figures"])
    assert summary["simulated_feedback"] is True
    assert summary["ppo_alarm"] is None
    assert summary["aligned_by"] == "PPO"
    assert "Aligned by PPO." in result.out
    assert "simulated annotators" in result.out
    assert str(retort.home / "latest" / "report.html") in result.out
    assert "aligned" in (retort.home / "latest" / "report.html").read_text()


def test_an_artifact_names_its_parents_and_its_files(undisturbed: tuple["Retort", "Result"]) -> None:
    manifests = undisturbed[0].manifests()
    assert sorted(manifests) == sorted(STAGES)
    assert [len(manifests[stage]["parents"]) for stage in STAGES] == [0, 1, 1, 3, 2, 3, 3, 4, 4, 9]
    assert {"model/model.safetensors", "model/tokenizer.json"} <= manifests["ppo"]["files"].keys()


def test_mlflow_has_a_run_with_one_child_a_stage(undisturbed: tuple["Retort", "Result"]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{undisturbed[0].home / 'mlflow.db'}")
    [experiment] = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = {run.info.run_name: run for run in runs if run is not parent}
    assert sorted(children) == sorted(STAGES)
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert parent.data.params["ppo.updates"] == "4"
    assert "accuracy/aligned" in parent.data.metrics
    assert children["ppo"].data.params["ppo.updates"] == "4"
    with_metrics = {
        name for name, run in children.items() if any(not m.startswith("system/") for m in run.data.metrics)
    }
    assert with_metrics >= set(STAGES) - {"report"}
    inputs = {name: {i.dataset.name for i in run.inputs.dataset_inputs} for name, run in children.items()}
    assert inputs["ppo"] == {"clean", "distill", "reward"}
    assert inputs["clean"] == set()
    version = client.get_model_version_by_alias("retort-smoke", "challenger")
    assert version.run_id == children["ppo"].info.run_id
    assert version.tags["retort.input.reward"] == undisturbed[0].manifest_digest("reward")


def test_prefect_has_a_completed_run_with_its_artifacts(undisturbed: tuple["Retort", "Result"]) -> None:
    database = undisturbed[0].home / "prefect" / "prefect.db"
    assert rows(database, "select state_type from flow_run") == [("COMPLETED",)]
    tasks = rows(database, "select name, state_name from task_run order by expected_start_time")
    assert tasks == [(name, "Completed") for name in STAGES]
    [(table,)] = rows(database, "select data from artifact where key = 'closing-table'")
    assert "teacher few shot" in table
    assert "simulated annotators, not by people" in table


def test_a_second_run_finds_everything_and_starts_nothing(again: "Retort") -> None:
    result = again.run_smoke(*SLOW)
    assert result.code == 0, result.err
    assert set(again.states().values()) == {"cached"}
    assert result.seconds < 15
    assert again.noted("process") == []
    assert again.noted("import") == []


def test_a_changed_value_reruns_its_stage_and_those_after_it(two_models: "Retort") -> None:
    assert two_models.states() == dict.fromkeys(STAGES, "cached") | dict.fromkeys(STAGES[6:], "executed")


def test_each_run_enters_its_model_and_people_choose_which_one_serves(
    undisturbed: tuple["Retort", "Result"], two_models: "Retort"
) -> None:
    def models(*arguments: str) -> Any:
        result = two_models("models", *arguments, "--json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    [use] = models("list")
    assert (use["name"], use["champion"], use["challenger"]) == ("smoke", None, 2)
    # The stage had registered them, so the registry found them there.
    assert [version["mlflow_version"] for version in use["versions"]] == ["1", "2"]
    assert use["versions"][0]["model"]["sha256"] == undisturbed[0].manifest_digest("ppo")
    assert {(v["feedback"], v["watermark"]) for v in use["versions"]} == {("simulated", 0)}
    assert use["aliases_set"] == []
    assert models("promote", "1", "--reason", "the first") == {"name": "smoke", "champion": 1, "before": None}
    assert models("promote", "2", "--reason", "faster")["before"] == 1
    assert models("rollback", "--reason", "worse")["champion"] == 1
    acts = [(entry["act"], entry["version"]["number"]) for entry in models("history")]
    assert acts == [("entered", 1), ("entered", 2), ("promoted", 1), ("promoted", 2), ("rolled_back", 1)]
    [live] = models("history", "--at", "2100-01-01")["live"]
    assert live["entry"]["reason"] == "worse"
    [learnt] = live["learnt"]
    assert learnt["events"] == learnt["simulated"] > 0
    assert models("diff", "1", "2")["config"].keys() == {"ppo.learning_rate"}


def test_the_same_student_is_aligned_without_a_reward_model(again: "Retort") -> None:
    result = again.run_smoke(*SLOW, "align=dpo", "dpo.algorithm=kto")
    assert result.code == 0, result.err
    found = dict.fromkeys(STAGES[:5], "cached")
    assert again.states() == found | dict.fromkeys(("dpo", "evaluate", "assess", "report"), "executed")
    assert "Aligned by KTO (TRL)." in result.out
    assert "after KTO (TRL)" in (again.home / "latest" / "report.html").read_text()
    assert again.noted("network") == []


def test_deleted_artifacts_are_made_again_with_what_their_content_changes(again: "Retort") -> None:
    before = {stage: again.manifest_digest(stage) for stage in ("reward", "ppo", "evaluate")}
    for stage in ("reward", "evaluate"):
        [folder] = (again.home / "store" / "artifacts" / stage).iterdir()
        shutil.rmtree(folder)
    result = again.run_smoke(*SLOW)
    assert result.code == 0, result.err
    # The reward model comes out the same, so PPO has nothing to do; a speed is never measured the same.
    assert again.executed() == {"reward", "evaluate", "assess", "report"}
    assert {stage for stage in before if again.manifest_digest(stage) != before[stage]} == {"evaluate"}


def test_damaged_artifacts_are_set_aside_and_made_again_in_the_same_run(again: "Retort") -> None:
    """A run ended with an error at the first of them, and had to be started once more for each."""
    before = {stage: again.manifest_digest(stage) for stage in STAGES}
    artifacts = again.home / "store" / "artifacts"
    for stage in ("ppo", "evaluate"):
        [folder] = (artifacts / stage).iterdir()
        shutil.rmtree(folder)
    [page] = (artifacts / "report").glob("*/report.html")
    [weights] = (artifacts / "distill").glob("*/model/model.safetensors")
    [manifest] = (artifacts / "label").glob("*/manifest.json")
    for path in (page, weights, manifest):
        path.chmod(0o644)
        path.write_text("not what it was")
    mended = again.run_smoke(*SLOW)
    assert mended.code == 0, mended.err
    assert again.executed() == {"label", "distill", "ppo", "evaluate", "assess", "report"}
    after = {stage: again.manifest_digest(stage) for stage in STAGES[:7]}
    assert after == {stage: before[stage] for stage in STAGES[:7]}
    assert (again.home / "latest" / "report.html").read_text() != "not what it was"
    aside = (again.home / "store" / "quarantine").rglob("*")
    kept = {path.name for path in aside if path.is_file() and path.read_bytes() == b"not what it was"}
    assert kept == {"manifest.json", "model.safetensors"}


def test_a_damaged_report_of_a_run_that_is_all_there_is_made_again(again: "Retort") -> None:
    before = again.manifest_digest("report")
    [page] = (again.home / "store" / "artifacts" / "report").glob("*/report.html")
    page.chmod(0o644)
    page.write_text("not the report")
    mended = again.run_smoke(*SLOW)
    assert mended.code == 0, mended.err
    assert again.executed() == {"report"}
    assert again.manifest_digest("report") == before
    assert (again.home / "latest" / "report.html").read_text() != "not the report"
    assert len(list((again.home / "store" / "quarantine" / "report").glob("*/report.html"))) == 1


def shards(retort: "Retort") -> dict[Path, int]:
    """The shards of what the teacher said of answers, each with its inode, which a second writer changes."""
    found = (retort.home / "store" / "shards" / "score").glob("*/[!.]*")
    return {path: path.stat().st_ino for path in found}


def scored(found: Iterable[Path]) -> list[str]:
    """The keys of all records in shards."""
    return [key for path in found for key in pq.read_table(path, columns=["key"])["key"].to_pylist()]


def test_killed_three_times_it_goes_on_and_ends_in_the_same_model(
    undisturbed: tuple["Retort", "Result"], tmp_path: Path, retort_at: Any
) -> None:
    retort = retort_at(tmp_path / "home")
    checkpoints = retort.home / "store" / "checkpoints"
    # The first shard of `score` says how much to keep of a distribution; the second holds answers.
    moments = {
        "score": lambda: len(shards(retort)) > 1,
        "distill": lambda: any(checkpoints.glob("distill/*/*/[!.]*")),
        "ppo": lambda: any(checkpoints.glob("ppo/*/*/[!.]*")),
    }
    at_kill: dict[Path, int] = {}
    for stage, is_time in moments.items():
        retort.kill_when(is_time, "run", str(retort.smoke), *SLOW)
        assert is_time()
        assert not list((retort.home / "store" / "artifacts").glob(f"{stage}/*"))
        assert retort.is_alone_within(20), retort.survivors()
        at_kill = at_kill or shards(retort)
    result = retort.run_smoke(*SLOW)
    assert result.code == 0, result.err
    expected = dict.fromkeys(STAGES[:6], "cached") | {
        "ppo": "resumed",
        "evaluate": "executed",
        "assess": "executed",
        "report": "executed",
    }
    assert retort.states() == expected
    # `score` has no checkpoint to resume from: it finds the records of what it scored before.
    states = {"clean": "executed", "score": "executed", "distill": "resumed", "feedback": "executed"}
    assert {stage: retort.record(stage)["state"] for stage in states} == states
    assert at_kill.items() <= shards(retort).items()
    keys = scored(shards(retort))
    assert 1 < len(scored(at_kill)) < len(keys) == len(set(keys))
    assert set(keys) == set(scored(shards(undisturbed[0])))
    for stage in STAGES[:7]:
        assert retort.manifests()[stage] == undisturbed[0].manifests()[stage]
    assert not list(checkpoints.glob("*/*"))
