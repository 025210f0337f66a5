"""A hyper-parameter search with the real command, on tiny models."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.flows.conftest import Result, Retort

pytestmark = [
    pytest.mark.flow,
    pytest.mark.timeout(240),
    # MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

SPACE = "distill.learning_rate: {low: 1e-4, high: 2e-3, log: true}\ndistill.kd_weight: {low: 0, high: 0.5}\n"
TOO_SMALL = "student.max_parameters: {low: 1000, high: 2000}\n"


def tune(retort: "Retort", space: str, trials: int) -> tuple["Result", dict[str, Any]]:
    path = retort.home.parent / "space.yaml"
    path.write_text(space)
    result = retort("tune", str(retort.smoke), "seed=8", "--trials", str(trials), "--space", str(path))
    assert result.code == 0, result.err
    return result, json.loads((retort.home / "latest" / "tune.json").read_text())


def runs_of(home: Path) -> tuple[list[Any], dict[str, list[Any]]]:
    """The parent runs, oldest first, and the children of every run."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    [experiment] = [e for e in client.search_experiments() if e.name != "Default"]
    found = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    children: dict[str, list[Any]] = {}
    for run in found:
        children.setdefault(run.data.tags.get("mlflow.parentRunId", ""), []).append(run)
    return children.pop(""), children


def test_a_search_shares_stages_goes_on_and_survives_trials_that_fail(retort: "Retort") -> None:
    _, first = tune(retort, SPACE, 2)
    artifacts = retort.home / "store" / "artifacts"
    counts = {stage.name: len(list(stage.iterdir())) for stage in artifacts.iterdir()}
    assert counts == {"clean": 1, "label": 1, "score": 1, "distill": 2}
    assert (retort.home / "tune" / "smoke.db").is_file()

    result, second = tune(retort, SPACE, 3)
    assert second["study"] == first["study"]
    assert sorted(row["trial"] for row in second["trials"]) == [0, 1, 2]
    assert len(list((artifacts / "distill").iterdir())) == 3
    values = [row["value"] for row in second["trials"]]
    assert values == sorted(values)
    best = second["trials"][0]["params"]
    pasted = [
        f"distill.learning_rate={best['distill.learning_rate']}",
        f"distill.kd_weight={best['distill.kd_weight']}",
    ]
    assert second["overrides"] == ["seed=8", *pasted]
    assert f"retort run {retort.smoke} seed=8 {pasted[0]}" in result.out
    assert "trial-2: valid_nll" in result.err
    assert "trial-0" not in result.err

    failed, third = tune(retort, TOO_SMALL, 2)
    assert third["study"] != second["study"]
    assert [row["value"] for row in third["trials"]] == [None, None]
    assert third["overrides"] == []
    assert all("student.max_parameters" in row["error"] for row in third["trials"])
    assert "StudentRefused" in failed.out

    parents, children = runs_of(retort.home)
    assert [(run.info.run_name, run.info.status) for run in parents] == [("tune", "FINISHED")] * 3
    trials = [children[run.info.run_id] for run in parents]
    assert [[run.info.run_name for run in own] for own in trials] == [
        ["trial-0", "trial-1"],
        ["trial-2"],
        ["trial-0", "trial-1"],
    ]
    assert [run.info.status for run in trials[2]] == ["FAILED"] * 2
    by_trial = {row["trial"]: row for row in second["trials"]}
    for number, run in enumerate(trials[0] + trials[1]):
        assert run.data.metrics["valid_nll"] == by_trial[number]["value"]
        assert float(run.data.params["distill.kd_weight"]) == by_trial[number]["params"]["distill.kd_weight"]
        assert by_trial[number]["run"] == run.info.run_id
    stages = [[run.info.run_name for run in children[own.info.run_id]] for own in trials[0]]
    assert stages == [["clean", "label", "score", "distill"], ["distill"]]
    assert parents[1].data.tags["retort.link.trial-0"] == trials[0][0].info.run_id
    assert parents[1].data.metrics["valid_nll"] == values[0]
    assert retort.noted("network") == []
