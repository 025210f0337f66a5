"""What `retort doctor` looks at in stores, logs and servers: each check well, and then ill."""

import fcntl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.doctor import models, servers, stores
from tasks.doctor.check import Check, State
from tasks.garbage.shelves import shelves
from tasks.model_log import ModelLog
from tasks.model_records import ModelVersion
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.mlflow_client import MLflowLine
from tasks.shared.s3_bucket import Bucket

if TYPE_CHECKING:
    from tests.conftest import S3Server
    from tests.doctor.conftest import States


def test_a_lease_is_held_or_free(tmp_path: Path) -> None:
    place = Place(home=tmp_path, tracking_uri="sqlite:///none.db", experiment="none")
    key = "ppo/" + "a" * 64
    with place.store().lease(key):
        pass
    [found] = stores.leases(place)
    assert (found.state, found.found) == ("ok", "no key is worked on")
    with (tmp_path / "store" / "leases" / key).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        [found] = stores.leases(place)
    assert found.found == "worked on now: ppo/aaaaaaaaaaaa"


def test_what_was_set_aside_is_counted(states: "States", tmp_path: Path) -> None:
    place = Place(home=tmp_path, tracking_uri="sqlite:///none.db", experiment="none")
    assert states(stores.quarantine(shelves(place))) == [("artifacts set aside", "ok")]
    aside = tmp_path / "store" / "quarantine" / "ppo"
    for name in ("a-1", "b-1"):
        (aside / name).mkdir(parents=True)
        (aside / name / "made.txt").write_text("x")
        (aside / f"{name}.json").write_text("{}")
    [found] = stores.quarantine(shelves(place))
    assert found.state == "warn"
    assert found.found.startswith("2 damaged: ")


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [(0, "ok", "agrees"), (-2, "ok", "agrees"), (40, "warn", "40 s ahead"), (-400, "fail", "400 s behind")],
)
def test_clocks_that_differ(ahead: float, state: State, words: str) -> None:
    found = servers.compared(ahead)
    assert found.state == state
    assert words in found.found


@pytest.mark.service
def test_a_bucket_s_leases_and_clock(states: "States", tmp_path: Path, s3_server: "S3Server") -> None:
    endpoint, bucket = s3_server.endpoint, s3_server.bucket
    place = Place(
        home=tmp_path,
        s3_endpoint=endpoint,
        s3_bucket=bucket,
        tracking_uri="sqlite:///none.db",
        experiment="none",
    )
    assert states(servers.server_clock(place)) == [("server's clock", "ok")]
    assert states(servers.server_clock(place.model_copy(update={"s3_bucket": "none"}))) == [
        ("bucket", "fail")
    ]

    key = "ppo/" + "d" * 64
    Bucket(bucket, endpoint).write(f"leases/{key}", b'{"owner": "o", "seconds": 1.0, "renewal": 3}')
    with place.store().lease("ppo/" + "e" * 64):
        time.sleep(4)
        dead, held = stores.leases(place)
    assert (dead.state, dead.found) == ("warn", "left by dead owners: ppo/dddddddddddd")
    assert "ppo/eeeeeeeeeeee" in held.found


def test_a_log_of_models_beside_mlflow_s_aliases(
    states: "States", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(home=tmp_path, tracking_uri="sqlite:///none.db", experiment="none")
    line = MLflowLine(place.tracking_uri)
    assert states(models.models(place, line)) == [("models", "ok")]
    ref = ArtifactRef(
        kind="ppo",
        key="ppo/" + "a" * 64,
        uri="file:///x",
        sha256="a" * 64,
        schema_version=1,
        parents=(),
        summary={},
    )
    version = ModelVersion(
        number=1,
        name="x",
        model=ref,
        clean=ref,
        distill=ref,
        reward=None,
        feedback="simulated",
        watermark=0,
        served_sha256="b" * 64,
        mlflow_version="1",
    )
    log = ModelLog(place, "x", print)
    with log.writing() as entries:
        log.append(entries, "entered", version, "made", "run")
        log.append(entries, "promoted", version, "better", "anna")
    for aliases, state in (
        ({"champion": "b" * 64}, "ok"),
        ({"champion": "c" * 64}, "warn"),
        ({}, "warn"),
        ({"champion": "b" * 64, "challenger": "b" * 64}, "warn"),
    ):
        monkeypatch.setattr(models, "_served", lambda *_, aliases=aliases: aliases)
        assert states(models.models(place, line)) == [("log of x", "ok"), ("aliases of x", state)]
    assert states(models.models(place, None)) == [("log of x", "ok")]
    (tmp_path / "store" / "log" / "x" / "00000001.json").unlink()
    [found] = models.models(place, line)
    assert found.state == "fail"
    assert "00000002.json" in found.found


Answers = dict[str, Any]


def well() -> Answers:
    times = {"schedule": {"cron": "0 2 * * *", "timezone": "UTC"}, "active": True}
    run = {
        "name": "calm-owl",
        "state_type": "COMPLETED",
        "state_name": "Completed",
        "start_time": "2026-11-24",
    }
    return {
        "work_pools/retort": {"is_paused": False},
        "deployments/name/nightly/nightly": {"id": "d", "paused": False, "schedules": [times]},
        "work_pools/retort/workers/filter": [{"status": "ONLINE"}, {"status": "OFFLINE"}],
        "automations/filter": [{"name": "retort: runs that died", "enabled": True}],
        "flow_runs/filter": [run],
    }


def look(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> dict[str, Check]:
    monkeypatch.setattr(servers, "_asking", lambda *_: lambda path, _: answers.get(path))
    return {check.name: check for check in servers.schedule("http://127.0.0.1:1/api", "retort:secret")}


def test_a_schedule_that_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(well(), monkeypatch)
    assert {check.state for check in found.values()} == {"ok"}
    assert found["schedule"].found == "nights start at 0 2 * * * in UTC"
    assert found["last night"].found == "Completed, 2026-11-24"


@pytest.mark.parametrize(
    ("path", "answer", "check", "state"),
    [
        ("work_pools/retort", None, "schedule", "fail"),
        ("deployments/name/nightly/nightly", None, "schedule", "fail"),
        (
            "deployments/name/nightly/nightly",
            {"id": "d", "paused": True, "schedules": []},
            "schedule",
            "warn",
        ),
        ("work_pools/retort", {"is_paused": True}, "work pool", "warn"),
        ("work_pools/retort/workers/filter", [{"status": "OFFLINE"}], "work pool", "fail"),
        ("automations/filter", [{"name": "another's", "enabled": True}], "automations", "fail"),
        ("automations/filter", [{"name": "retort: x", "enabled": False}], "automations", "warn"),
        ("flow_runs/filter", [], "last night", "ok"),
        (
            "flow_runs/filter",
            [{"name": "n", "state_type": "CRASHED", "state_name": "Crashed", "start_time": "t"}],
            "last night",
            "warn",
        ),
        (
            "flow_runs/filter",
            [{"name": "n", "state_type": "SCHEDULED", "state_name": "Late", "start_time": None}],
            "late nights",
            "warn",
        ),
    ],
)
def test_a_schedule_that_is_ill(
    path: str, answer: object, check: str, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look({**well(), path: answer}, monkeypatch)
    assert found[check].state == state
    assert bool(found[check].remedy) == (state != "ok")
