"""What MLflow has of withdrawn feedback, in a real MLflow on SQLite."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.shared import mlflow_client, mlflow_withdrawal
from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.mlflow_tracking import MLflowTracker
from tasks.shared.mlflow_withdrawal import clear_tables, versions_made_from

# MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

OURS, OTHER = "feedback/" + "a" * 64, "feedback/" + "b" * 64


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowLine]:
    """Two registered models, and the runs of two feedback stages, one in each of two experiments."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", *mlflow_client.SETTINGS):
            patch.setenv(name, "true")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        for experiment, key in (("one", OURS), ("two", OTHER)):
            with MLflowTracker(uri, experiment, folder / "artifacts") as tracker:
                tracker.open("nightly", {}, {})
                with tracker.stage("feedback", key, {}) as run:
                    run.table("rankings.json", [{"annotator": "anna", "prompt": "secret"}])
        opened = MLflowLine(uri)
        client = opened.client
        for name, inputs in (("one", ["r1", "r2", "r1"]), ("two", ["r1"])):
            client.create_registered_model(name)
            for digest in inputs:
                tags = {"retort.input.clean": "c", "retort.input.reward": digest, "stage": "r1"}
                client.create_model_version(name, "somewhere", tags=tags)
        client.set_registered_model_alias("one", "champion", "3")
        yield opened


def tables(line: MLflowLine, key: str) -> list[Any]:
    client = line.client
    experiments = [found.experiment_id for found in client.search_experiments()]
    [run] = client.search_runs(experiments, f"tags.`retort.key` = '{key}'")
    path = client.download_artifacts(run.info.run_id, "tables/rankings.json.json")
    return list(json.loads(Path(path).read_text())["data"])


@pytest.mark.parametrize("page", [None, 1])
def test_versions_are_found_by_what_they_were_made_from(
    line: MLflowLine, page: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page:
        pages = mlflow_withdrawal._pages
        monkeypatch.setattr(
            mlflow_withdrawal, "_pages", lambda search, **wanted: pages(search, max_results=page, **wanted)
        )
    found = versions_made_from(line, {"r1", "something else"})
    assert [(version.name, version.version) for version in found] == [
        ("one", "1"),
        ("one", "3"),
        ("two", "1"),
    ]
    assert [version.aliases for version in found] == [(), ("champion",), ()]
    assert found[0].inputs == {"reward": "r1"}
    assert versions_made_from(line, {"r3"}) == []


def test_tables_of_the_stages_named_are_emptied_and_no_others(line: MLflowLine) -> None:
    assert tables(line, OURS) == tables(line, OTHER) == [["anna", "secret"]]
    assert clear_tables(line, {OURS, "feedback/" + "c" * 64}) == 1
    assert tables(line, OURS) == []
    assert tables(line, OTHER) == [["anna", "secret"]]
    assert clear_tables(line, {OURS}) == 1
