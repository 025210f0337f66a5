"""What comes from outside an evaluation is in its key: principles of the judge, tasks of the harness."""

import shutil
from pathlib import Path

import pytest

from configs.load import load_run_config
from flows.external import harness_digest, principles_digest
from tasks.shared.caching import ROOT
from tasks.shared.errors import DataError

PRINCIPLES = ROOT / "configs" / "data" / "principles.yaml"


def harness(folder: Path, *overrides: str):
    path = f"evaluate.harness.include_path={folder}"
    return load_run_config(None, [path, *overrides]).evaluate.harness


def test_principles_count_and_their_spacing_does_not(tmp_path: Path) -> None:
    before = principles_digest(str(PRINCIPLES))
    other = tmp_path / "principles.yaml"
    other.write_text(PRINCIPLES.read_text() + "\n# a remark\n")
    assert principles_digest(str(other)) == before
    lines = PRINCIPLES.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if "judging:" in line)
    lines[place] = lines[place].replace("judging:", "judging: Quickly,", 1)
    other.write_text("".join(lines))
    assert principles_digest(str(other)) != before


def test_tasks_and_their_data_count(tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "tests" / "ml" / "harness_tasks", tmp_path / "tasks")
    named = harness(folder, "evaluate.harness.tasks=[retort_verdicts]")
    before = harness_digest(named, tmp_path / "memo.json")
    with (folder / "verdicts.jsonl").open("a") as file:
        file.write("\n")
    assert harness_digest(named, tmp_path / "memo.json") != before
    assert harness_digest(harness(folder), tmp_path / "memo.json") == "none"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    named = harness(tmp_path / "nowhere", "evaluate.harness.tasks=[retort_verdicts]")
    with pytest.raises(DataError, match="nowhere"):
        harness_digest(named, tmp_path / "memo.json")
