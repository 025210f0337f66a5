"""Which artifacts nobody needs, and how they are deleted."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tasks.garbage.artifacts import WITHDRAWN
from tasks.garbage.rubbish import sweep
from tasks.model_log import ModelLog
from tasks.model_records import ModelVersion
from tasks.shared.last_use import note_use
from tasks.shared.store_log import BrokenLogError

if TYPE_CHECKING:
    from tests.garbage.conftest import Home

FIRST = {"feedback 1", "ppo 1", "report 1"}
SECOND = {"feedback 2", "ppo 2", "report 2"}
SHARED = {"clean", "distill"}


def test_what_nobody_names_or_uses_is_unneeded(home: "Home") -> None:
    assert home.unneeded() == FIRST | SECOND | SHARED
    assert home.unneeded(days=101) == set()


def test_a_model_keeps_what_it_was_made_from_and_no_more(
    home: "Home", models: Callable[[dict[str, str]], None]
) -> None:
    models({home.key("ppo 1"): "model 1 of x"})
    assert home.unneeded() == SECOND | {"report 1"}
    kept = home.search().kept
    one = kept["model 1 of x"]
    others = kept["what was made from it: model 1 of x"]
    assert (one[0], others[0]) == (1, 3)
    files = (home.folder / "artifacts" / home.key("ppo 1")).iterdir()
    assert one[1] == sum(path.stat().st_size for path in files)


def test_the_log_of_models_names_what_its_models_need(home: "Home") -> None:
    home.add("decide 1")
    version = ModelVersion(
        number=1,
        name="x",
        model=home.refs["ppo 1"],
        clean=home.refs["clean"],
        distill=home.refs["distill"],
        reward=None,
        feedback="simulated",
        watermark=0,
        served_sha256="a" * 64,
        mlflow_version=None,
    )
    log = ModelLog(home.place, "x", print)
    with log.writing() as entries:
        log.append(entries, "entered", version, "made", "run")
        log.append(entries, "promoted", version, "better", "gate", home.key("decide 1"))
    assert home.unneeded() == SECOND | {"report 1"}
    assert set(home.search().kept) == {
        "model 1 of x, the champion",
        "what was made from it: model 1 of x, the champion",
        "why model 1 of x was promoted",
    }
    path = home.folder / "log" / "x" / "00000001.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"made", b"mode"))
    with pytest.raises(BrokenLogError, match=r"00000002\.json"):
        home.search()


def test_the_last_run_is_kept_by_its_page(home: "Home") -> None:
    page = home.place.home / "latest" / "summary.json"
    page.parent.mkdir()
    page.write_text(json.dumps({"stages": [{"ref": {"key": home.key("report 2")}}]}))
    assert home.unneeded() == FIRST


def test_the_newest_reports_are_kept_however_old(home: "Home") -> None:
    home.age(f"artifacts/{home.key('report 1')}", 90)
    assert home.unneeded(reports=1) == SECOND
    assert home.unneeded(reports=2) == set()


def test_use_counts_not_age(home: "Home") -> None:
    """A run that finds all of its stages leaves no other trace of what it used."""
    assert home.place.find(home.store, home.key("report 1")) is not None
    assert home.unneeded() == SECOND
    [reason] = [why for why in home.search().kept if "made from" not in why]
    assert reason == "used within 30 days"


def test_withdrawn_feedback_goes_whoever_needs_it(
    home: "Home", models: Callable[[dict[str, str]], None]
) -> None:
    models({home.key("ppo 1"): "model 1 of x", home.key("ppo 2"): "model 2 of x"})
    note_use(home.store, home.key("feedback 1"))
    listed = home.place.home / "withdrawals" / "1.json"
    listed.parent.mkdir()
    listed.write_text(json.dumps({"annotator": "anna", "held": [home.refs["feedback 1"].sha256]}))
    assert home.unneeded() == {"feedback 1", "report 1", "report 2"}
    found = home.search()
    assert {one.key for one in found.rubbish if one.why == WITHDRAWN} == {home.key("feedback 1")}
    deleted, busy = sweep(found.rubbish)
    assert (len(deleted), busy) == (3, [])
    assert home.there() == SHARED | {"feedback 2", "ppo 1", "ppo 2"}


def test_to_look_changes_nothing(home: "Home") -> None:
    home.write("checkpoints/ppo/" + "c" * 64 + "/step/x", 50)
    before = {path: path.stat().st_mtime_ns for path in home.place.home.rglob("*")}
    assert len(home.search().rubbish) == 9
    assert {path: path.stat().st_mtime_ns for path in home.place.home.rglob("*")} == before


def test_an_artifact_goes_with_its_record_and_its_checkpoints(home: "Home") -> None:
    key = home.key("ppo 1")
    home.store.write_record(key, {"finished_at": "2026-01-01T00:00:00+00:00"})
    home.age(f"records/{key}.json", 100)
    found = [one for one in home.search().rubbish if one.key == key]
    assert sweep(found) == (found, [])
    assert home.store.find(key) is None
    assert home.store.read_record(key) is None
    # What a kill in the middle leaves is found by a second call.
    assert sweep(found)[0] == found


def test_what_a_run_works_on_or_used_meanwhile_is_left(home: "Home") -> None:
    found = {one.key: one for one in home.search().rubbish}
    working, used = found[home.key("ppo 1")], found[home.key("clean")]
    note_use(home.store, home.key("clean"))
    with home.store.lease(home.key("ppo 1")):
        assert sweep([working, used]) == ([], [working, used])
    assert home.there() >= {"ppo 1", "clean"}
    assert sweep([working, used]) == ([working], [used])


def test_what_is_no_whole_artifact_waits_too(home: "Home") -> None:
    for digest, days in (("a" * 64, 31), ("b" * 64, 29)):
        home.write(f"artifacts/ppo/{digest}/made.txt", days)
    found = [one for one in home.search(days=30).rubbish if one.why == "no readable manifest"]
    assert [one.key for one in found] == ["ppo/" + "a" * 64]
    assert sweep(found) == (found, [])
    assert not (home.folder / "artifacts/ppo" / ("a" * 64)).exists()


def test_what_another_version_wrote_is_kept_with_nothing_said_of_its_parents(home: "Home") -> None:
    home.write("artifacts/ppo/" + "a" * 64 + "/manifest.json", 100).write_text('{"schema_version": 2}')
    home.age("artifacts/ppo/" + "a" * 64, 100)
    found = home.search()
    assert "ppo/" + "a" * 64 not in {one.key for one in found.rubbish}
    assert found.kept["another version of Retort wrote it"][0] == 1
