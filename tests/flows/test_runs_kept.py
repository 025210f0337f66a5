"""Each run is kept by its id, with the pages of the last one in `latest/`."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.results import RUNS, StageOutcome, load_run, save_latest
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.errors import DataError


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(home=tmp_path / "home", tracking_uri="sqlite:///none.db", experiment="none", quiet=True)


@pytest.fixture
def report(place: Place, tmp_path: Path) -> ArtifactRef:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text(json.dumps({"figures": []}))
    for name in ("report.html", "report.fr.html", "slides.pptx", "README.md", "numbers.json"):
        (out / name).write_text(name)
    key = f"report/{'a' * 64}"
    place.store().write_record(key, {"flow_run": "cafe" * 8})
    return place.store().commit(key, "report", out, [], {}, {})


def outcome(report: ArtifactRef, state: Any) -> StageOutcome:
    return StageOutcome(name="report", state=state, seconds=1.0, ref=report, run_id=None)


def test_a_run_is_kept_by_its_id_and_its_pages_are_the_latest(place: Place, report: ArtifactRef) -> None:
    latest = place.home / "latest"
    latest.mkdir(parents=True)
    (latest / "report.de.html").write_text("of an earlier run")
    (latest / "ladder.json").write_text("[]")
    save_latest(place, report, [outcome(report, "executed")], 3.0, "beef" * 8)
    assert sorted(path.name for path in latest.iterdir()) == [
        "README.md",
        "ladder.json",
        "report.fr.html",
        "report.html",
        "slides.pptx",
        "summary.json",
    ]
    found = load_run(place.home, "beef")
    assert found["run"] == "beef" * 8
    assert found == load_run(place.home, "latest")
    assert found == load_run(place.home, str(latest / "summary.json"))
    assert found["stages"][0]["ref"]["sha256"] == report.sha256


def test_a_run_that_was_all_found_is_the_run_that_made_the_report(place: Place, report: ArtifactRef) -> None:
    save_latest(place, report, [outcome(report, "executed")], 3.0, "cafe" * 8)
    again = save_latest(place, report, [outcome(report, "cached")], 0.1, None)
    assert again["run"] == "cafe" * 8
    # What became of the stages when they were computed is not written over.
    assert load_run(place.home, "cafe")["stages"][0]["state"] == "executed"
    assert load_run(place.home, "latest")["stages"][0]["state"] == "cached"


def test_what_is_no_run_is_refused_with_the_runs_that_there_are(place: Place, report: ArtifactRef) -> None:
    for run in ("cafe" * 8, "cafe0" + "1" * 27):
        save_latest(place, report, [outcome(report, "executed")], 3.0, run)
    with pytest.raises(DataError, match="2 runs that begin so"):
        load_run(place.home, "cafe")
    with pytest.raises(DataError, match=f"no such run, and no such file.*{'cafe' * 8}"):
        load_run(place.home, "../../etc")
    broken = place.home / RUNS / f"{'d' * 32}.json"
    broken.write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        load_run(place.home, "dddd")
    broken.write_text("[]")
    with pytest.raises(DataError, match="no `stages`"):
        load_run(place.home, "dddd")
