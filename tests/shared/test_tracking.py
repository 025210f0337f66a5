"""Trackers: what was told is found again, in a real MLflow on SQLite and in memory."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.shared import mlflow_client, mlflow_run
from tasks.shared.errors import ServiceError
from tasks.shared.mlflow_tracking import HOST, PROCESS, MLflowTracker
from tasks.shared.processes import Process, birth
from tasks.shared.tracking import MemoryTracker, Tracker

KEY = "distill/" + "a" * 64
FLOW_KEY = "f" * 64
ROOT = Path(__file__).parents[2]

# MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

Store = tuple[str, Path]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One SQLite file for the module, because MLflow takes seconds to make it, and a folder of artifacts."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", *mlflow_client.SETTINGS):
            patch.setenv(name, "true")
        yield f"sqlite:///{folder / 'deep' / 'mlflow.db'}", folder / "artifacts"


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def tracker(store: Store, experiment: str) -> Iterator[MLflowTracker]:
    """A tracker with an experiment of the test's own."""
    with MLflowTracker(store[0], experiment, store[1]) as tracker:
        yield tracker


@pytest.fixture
def client(store: Store) -> Any:
    return mlflow_client.MLflowLine(store[0]).client


def open_run(tracker: Tracker, resume_run_id: str | None = None) -> str:
    tags = {"retort.flow_key": FLOW_KEY, "git.sha": "abc"}
    params = {"distill.lr": 0.001, "name": "x", "cap": None, "offline": True}
    return tracker.open("nightly", tags, params, resume_run_id)


def curve(client: Any, run_id: str, metric: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, metric))


def read_artifact(client: Any, run_id: str, path: str, folder: Path) -> str:
    return Path(client.download_artifacts(run_id, path, str(folder))).read_text()


def test_child_hangs_below_parent_with_tags_and_params(tracker: MLflowTracker, client: Any) -> None:
    parent_id = open_run(tracker)
    with tracker.stage("distill", KEY, {"seed": 7}) as run:
        assert client.get_run(run.id).info.status == "RUNNING"
    tracker.close()

    parent, child = client.get_run(parent_id), client.get_run(run.id)
    assert parent.info.run_name == "nightly"
    assert parent.info.status == child.info.status == "FINISHED"
    assert parent.data.params == {"distill.lr": "0.001", "name": "x", "cap": "null", "offline": "true"}
    assert parent.data.tags["git.sha"] == "abc"
    assert child.info.run_name == "distill"
    assert child.data.params == {"seed": "7"}
    expected = {"mlflow.parentRunId": parent_id, "retort.stage": "distill", "retort.key": KEY}
    assert expected.items() <= child.data.tags.items()
    assert tracker.url is None


def test_tracker_that_is_not_open_says_so(tracker: MLflowTracker) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        tracker.headline({"win_rate": 0.5})


def test_files_lie_below_the_artifact_root(tracker: MLflowTracker, client: Any, store: Store) -> None:
    parent_id = open_run(tracker)
    assert client.get_run(parent_id).info.artifact_uri.startswith(store[1].as_uri())
    found = client.get_experiment(client.get_run(parent_id).info.experiment_id)
    assert found.tags["mlflow.experimentKind"] == "custom_model_development"


def test_every_point_arrives_in_few_calls(
    tracker: MLflowTracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_run(tracker)
    calls = []
    real = tracker._line.client.log_batch
    with tracker.stage("distill", KEY, {}) as run:
        monkeypatch.setattr(
            tracker._line.client, "log_batch", lambda *a, **k: (calls.append(1), real(*a, **k))
        )
        for step in range(120):
            run.log({"distill/loss": 1 / (step + 1), "distill/kl": step * 0.25}, step)
    assert curve(client, run.id, "distill/loss") == [(step, 1 / (step + 1)) for step in range(120)]
    assert curve(client, run.id, "distill/kl") == [(step, step * 0.25) for step in range(120)]
    assert 3 <= len(calls) <= 6


def test_slow_points_are_seen_while_the_stage_runs(
    tracker: MLflowTracker, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_run(tracker)
    with tracker.stage("distill", KEY, {}) as run:
        run.log({"loss": 1.0}, 0)
        assert curve(client, run.id, "loss") == []
        monkeypatch.setattr(mlflow_run, "FLUSH_SECONDS", 0.0)
        run.log({"loss": 0.5}, 1)
        assert curve(client, run.id, "loss") == [(0, 1.0), (1, 0.5)]


def test_more_points_a_step_than_mlflow_takes_in_a_call(tracker: MLflowTracker, client: Any) -> None:
    open_run(tracker)
    with tracker.stage("evaluate", KEY, {}) as run:
        run.metrics({f"share/{number}": float(number) for number in range(1203)})
    found = client.get_run(run.id).data.metrics
    assert len(found) == 1203
    assert found["share/1202"] == 1202.0


def fail_in_stage(tracker: Tracker, error: BaseException) -> None:
    with tracker, tracker.stage("align", KEY, {}) as run:
        run.log({"reward": 0.75}, 3)
        raise error


def child_of(client: Any, parent_id: str) -> Any:
    experiment_id = client.get_run(parent_id).info.experiment_id
    [child] = client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    return child


def test_failed_stage_keeps_its_points_and_says_why(tracker: MLflowTracker, client: Any) -> None:
    parent_id = open_run(tracker)
    with pytest.raises(ValueError, match="ran away"):
        fail_in_stage(tracker, ValueError("the reward ran away"))
    child = child_of(client, parent_id)
    assert child.info.status == "FAILED"
    assert child.data.tags["retort.error"] == "ValueError: the reward ran away"
    assert curve(client, child.info.run_id, "reward") == [(3, 0.75)]
    assert client.get_run(parent_id).info.status == "FAILED"


def test_interrupted_stage_is_killed(tracker: MLflowTracker, client: Any) -> None:
    parent_id = open_run(tracker)
    with pytest.raises(KeyboardInterrupt):
        fail_in_stage(tracker, KeyboardInterrupt())
    assert child_of(client, parent_id).info.status == "KILLED"
    assert client.get_run(parent_id).info.status == "KILLED"


def test_memory_keeps_what_it_is_told() -> None:
    tracker = MemoryTracker()
    with pytest.raises(ValueError, match="ran away"):
        fail_in_stage(tracker, ValueError("the reward ran away"))
    [run] = tracker.stages
    assert (run.name, run.tags["retort.key"], run.status) == ("align", KEY, "FAILED")
    assert run.tags["retort.error"] == "ValueError: the reward ran away"
    assert run.curves == {"reward": [(3, 0.75)]}

    with tracker:
        parent_id = open_run(tracker)
        with tracker.stage("evaluate", KEY, {"seed": 1}) as used:
            used.metrics({"f1": 0.5})
            used.table("samples", [{"question": "Q"}])
            used.dataset("rows", "rows.jsonl", "d1", 3, "eval")
            used.file(Path("a/card.md"), "cards")
        tracker.headline({"win_rate": 0.6})
        tracker.stages_table([{"stage": "evaluate"}])
        tracker.link("clean", "elsewhere")
    run, parent = tracker.stages[1], tracker.parent
    assert (run.finals, run.tables, run.files) == (
        {"f1": 0.5},
        {"samples": [{"question": "Q"}]},
        ["cards/card.md"],
    )
    assert run.datasets == {"rows": ("rows.jsonl", "d1", 3, "eval")}
    assert parent is not None
    assert (parent.id, parent.status, parent.finals) == (parent_id, "FINISHED", {"win_rate": 0.6})
    assert parent.tags["retort.link.clean"] == "elsewhere"
    assert tracker.url is None


@pytest.mark.parametrize("name", ["mlflow", "memory"])
def test_points_that_are_no_numbers_are_named_and_kept_out_of_curves(
    name: str, tracker: MLflowTracker, client: Any
) -> None:
    used: Tracker = tracker if name == "mlflow" else MemoryTracker()
    open_run(used)
    with used.stage("align", KEY, {}) as run:
        for step, loss in enumerate([1.0, math.nan, 0.5, -math.inf]):
            run.log({"loss": loss, "kl": 0.1}, step)
        run.metrics({"best": math.inf})
    if isinstance(used, MemoryTracker):
        tags, loss_curve = used.stages[0].tags, used.stages[0].curves["loss"]
    else:
        tags, loss_curve = client.get_run(run.id).data.tags, curve(client, run.id, "loss")
    assert loss_curve == [(0, 1.0), (2, 0.5)]
    assert tags["retort.non_finite"] == "best: inf at step 0, 1 in all; loss: nan at step 1, 2 in all"


def log_refused_name(tracker: Tracker) -> None:
    with tracker.stage("evaluate", KEY, {}) as run:
        run.metrics({"share@5": 0.5})


def test_refused_point_fails_the_stage_and_is_not_sent_again(tracker: MLflowTracker, client: Any) -> None:
    parent_id = open_run(tracker)
    with pytest.raises(ServiceError, match="share@5"):
        log_refused_name(tracker)
    assert child_of(client, parent_id).info.status == "FAILED"


def test_dataset_is_an_input(tracker: MLflowTracker, client: Any) -> None:
    open_run(tracker)
    digest = "0123456789abcdef" * 4
    with tracker.stage("distill", KEY, {}) as run:
        run.dataset("rows", "s3://bucket/rows.jsonl", digest, 1234, "training")
    [given] = client.get_run(run.id).inputs.dataset_inputs
    assert given.dataset.name == "rows"
    assert given.dataset.digest == digest[:36]
    assert given.dataset.source_type == "s3"
    assert json.loads(given.dataset.source) == {"uri": "s3://bucket/rows.jsonl", "digest": digest}
    assert json.loads(given.dataset.profile) == {"num_rows": 1234}
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_table_is_shown_as_one_and_replaced(tracker: MLflowTracker, client: Any, tmp_path: Path) -> None:
    open_run(tracker)
    with tracker.stage("evaluate", KEY, {}) as run:
        run.table("samples", [{"old": 1}])
        rows = [{"question": "Q", "score": 1}, {"question": "R", "score": None, "note": math.nan}]
        run.table("samples", rows)
    shown = json.loads(client.get_run(run.id).data.tags["mlflow.loggedArtifacts"])
    assert shown == [{"path": "tables/samples.json", "type": "table"}]
    stored = json.loads(read_artifact(client, run.id, "tables/samples.json", tmp_path))
    assert stored == {"columns": ["question", "score", "note"], "data": [["Q", 1, None], ["R", None, "nan"]]}


@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes")  # of MLflow's log_table
def test_table_has_the_form_of_mlflows_own(tracker: MLflowTracker, client: Any, tmp_path: Path) -> None:
    open_run(tracker)
    with tracker.stage("evaluate", KEY, {}) as run:
        run.table("ours", [{"question": "Q", "score": 1.5}, {"question": "R", "score": 2.5}])
        client.log_table(run.id, {"question": ["Q", "R"], "score": [1.5, 2.5]}, "tables/theirs.json")
    texts = [read_artifact(client, run.id, f"tables/{name}.json", tmp_path) for name in ("ours", "theirs")]
    assert json.loads(texts[0]) == json.loads(texts[1])
    shown = json.loads(client.get_run(run.id).data.tags["mlflow.loggedArtifacts"])
    assert shown == [{"path": f"tables/{name}.json", "type": "table"} for name in ("ours", "theirs")]


def test_figure_text_and_file_are_kept(tracker: MLflowTracker, client: Any, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    (tmp_path / "card.md").write_text("# Card")
    open_run(tracker)
    with tracker.stage("report", KEY, {}) as run:
        run.figure("curve", figure)
        run.text("notes/what.txt", "a note")
        run.file(tmp_path / "card.md", "cards")
    download = tmp_path / "back"
    download.mkdir()
    assert read_artifact(client, run.id, "notes/what.txt", download) == "a note"
    assert read_artifact(client, run.id, "cards/card.md", download) == "# Card"
    picture = client.download_artifacts(run.id, "figures/curve.png", str(download))
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_parent_shows_headline_stages_and_links(tracker: MLflowTracker, client: Any, tmp_path: Path) -> None:
    parent_id = open_run(tracker)
    tracker.headline({"evaluate/win_rate": 0.625})
    tracker.stages_table([{"stage": "clean", "status": "cached", "seconds": 0.5}])
    tracker.link("clean", "http://127.0.0.1:5000/#/experiments/1/runs/2")
    run = client.get_run(parent_id)
    assert run.data.metrics == {"evaluate/win_rate": 0.625}
    assert run.data.tags["retort.link.clean"] == "http://127.0.0.1:5000/#/experiments/1/runs/2"
    stored = json.loads(read_artifact(client, parent_id, "tables/stages.json", tmp_path))
    assert stored["data"] == [["clean", "cached", 0.5]]


def test_joined_parent_is_left_open(
    tracker: MLflowTracker, client: Any, store: Store, experiment: str
) -> None:
    parent_id = open_run(tracker)
    with MLflowTracker(store[0], experiment, store[1]) as joiner:
        assert open_run(joiner, parent_id) == parent_id
        with joiner.stage("distill", KEY, {}) as run:
            pass
    assert client.get_run(run.id).data.tags["mlflow.parentRunId"] == parent_id
    assert client.get_run(parent_id).info.status == "RUNNING"


def test_parent_that_is_not_there_cannot_be_joined(tracker: MLflowTracker) -> None:
    with pytest.raises(ServiceError, match="0123abc"):
        open_run(tracker, "0123abc")


def test_deleted_experiment_is_taken_up_again(tracker: MLflowTracker, client: Any, experiment: str) -> None:
    client.delete_experiment(client.create_experiment(experiment))
    assert client.get_run(open_run(tracker)).info.status == "RUNNING"


def test_two_flows_may_start_at_once(store: Store, experiment: str, client: Any) -> None:
    trackers = [MLflowTracker(store[0], experiment, store[1]) for _ in range(4)]
    gate, ids = threading.Barrier(4), []

    def start(tracker: MLflowTracker) -> None:
        gate.wait()
        ids.append(open_run(tracker))

    threads = [threading.Thread(target=start, args=(tracker,)) for tracker in trackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({client.get_run(run_id).info.experiment_id for run_id in ids}) == 1
    assert len(set(ids)) == 4


KILLED_FLOW = """
import os, signal, sys
from pathlib import Path
from tasks.shared.mlflow_tracking import MLflowTracker
tracker = MLflowTracker(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
parent = tracker.open("dies", {"retort.flow_key": sys.argv[4]}, {})
with tracker.stage("distill", "k", {}) as run:
    print(parent, run.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_flow_is_marked_when_it_starts_again(
    tracker: MLflowTracker, client: Any, store: Store, experiment: str
) -> None:
    client.create_experiment(experiment, store[1].as_uri())
    command = [sys.executable, "-c", KILLED_FLOW, store[0], experiment, str(store[1]), FLOW_KEY]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    dead = died.stdout.split()
    assert [client.get_run(run_id).info.status for run_id in dead] == ["RUNNING", "RUNNING"]
    again = open_run(tracker)
    assert [client.get_run(run_id).info.status for run_id in dead] == ["KILLED", "KILLED"]
    assert client.get_run(again).info.status == "RUNNING"
    assert died.stderr == ""


def dead_process() -> str:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = Process(pid=child.pid, birth=birth(child.pid) or "")
    child.kill()
    child.wait()
    return process.model_dump_json()


def test_flows_that_may_live_are_left_alone(
    tracker: MLflowTracker, client: Any, store: Store, experiment: str
) -> None:
    def other(flow_key: str, tags: dict[str, str]) -> str:
        run_id = MLflowTracker(store[0], experiment, store[1]).open(
            "other", {"retort.flow_key": flow_key}, {}
        )
        for name, value in tags.items():
            client.set_tag(run_id, name, value)
        return run_id

    dead = dead_process()
    runs = {
        "alive": other(FLOW_KEY, {}),
        "on another host": other(FLOW_KEY, {HOST: "elsewhere", PROCESS: dead}),
        "of another flow": other("e" * 64, {PROCESS: dead}),
        "dead": other(FLOW_KEY, {PROCESS: dead}),
        "whose number was given again": other(
            FLOW_KEY, {PROCESS: Process(pid=os.getpid(), birth="before").model_dump_json()}
        ),
    }
    open_run(tracker)
    assert {name: client.get_run(run_id).info.status for name, run_id in runs.items()} == {
        "alive": "RUNNING",
        "on another host": "RUNNING",
        "of another flow": "RUNNING",
        "dead": "KILLED",
        "whose number was given again": "KILLED",
    }
