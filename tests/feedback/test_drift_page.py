"""The page of a night's drift: verdict first, everything escaped, and the files of a stage."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.schema_drift import DriftLimit
from tasks.feedback.drift_page import page_of, write_drift
from tasks.ml.drift import Drift, Measured

LIMIT = DriftLimit(warn=0.1, stop=0.4)


@pytest.fixture
def drift() -> Drift:
    measures = (
        Measured("length", 0.05, 0.07, 0.8, 1.0, LIMIT, "go", 31.5, 30.25),
        Measured("tasks", 0.62, 0.12, 0.001, 0.002, LIMIT, "stop", None, None),
    )
    return Drift(
        verdict="stop",
        reasons=("tasks: a shift of 0.620 where 0.120 is chance",),
        measures=measures,
        notes=("embedding not compared: there is nothing new",),
        questions=(800, 60),
        contexts=(110, 9),
        lengths=((3, 40), (5,)),
        tasks={"lookup": (0.5, 1.0), "a|b $x$ <i>": (0.5, 0.0)},
        words=(("keto|<b>", 4),),
    )


def test_the_page_says_the_verdict_first_and_shows_every_measure(drift: Drift) -> None:
    page = page_of(drift)
    assert page.startswith("# Drift says stop: so much has shifted that a person should look first\n")
    assert "- tasks: a shift of 0.620 where 0.120 is chance\n" in page
    assert "Compared: 60 new questions of 9 contexts with 800 of training, of 110 contexts." in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and "---" not in line]
    assert rows[1].endswith("| 31.5 | 30.2 | 0.050 | 0.070 | 1.000 | 0.1 / 0.4 | go |")
    assert rows[2].endswith("|  |  | 0.620 | 0.120 | 0.002 | 0.1 / 0.4 | stop |")
    assert "keto\\|&lt;b&gt; (4)" in page
    assert "<b>" not in page


def test_a_quiet_night_names_no_words(drift: Drift) -> None:
    page = page_of(replace(drift, verdict="go", reasons=(), words=()))
    assert page.startswith("# Drift says go: nothing that matters has shifted\n")
    assert "does not know, in" not in page


def test_the_files_and_what_the_summary_says(drift: Drift, tmp_path: Path) -> None:
    summary = write_drift(tmp_path, drift)
    assert summary == {
        "drift": "stop",
        "reasons": ["tasks: a shift of 0.620 where 0.120 is chance"],
        "drift_length": 0.0,
        "drift_tasks": pytest.approx(0.5),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drift.json", "drift.md", "drift.png"]
    told = json.loads((tmp_path / "drift.json").read_text())
    assert told["verdict"] == "stop"
    assert told["measures"][1]["excess"] == pytest.approx(0.5)
    assert told["measures"][1]["limit"] == {"warn": 0.1, "stop": 0.4}


def test_the_same_drift_makes_the_same_files(drift: Drift, tmp_path: Path) -> None:
    # An artifact's digest must not depend on when or where it was made.
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_drift(tmp_path / name, drift)
    for name in ("drift.json", "drift.md", "drift.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
