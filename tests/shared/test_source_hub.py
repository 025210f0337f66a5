"""Datasets of the Hugging Face Hub, from a cache as its library leaves it and without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.shared.errors import DataError
from tasks.shared.source_hub import HubDataset, parse_hub_source

ROOT = Path(__file__).parents[2]
REVISION = "ab" * 20

# Prepares a dataset with the library itself, and moves it to where a download from the Hub would have put it.
PREPARE = """
import json, sys
from pathlib import Path
import datasets

home, rows = Path(sys.argv[1]), sys.argv[2]
datasets.load_dataset("json", data_files={"train": rows, "test": rows}, cache_dir=str(home / "work"))
made = next((home / "work").rglob("dataset_info.json")).parent
place = home / "datasets" / "owner___foods" / "default" / "0.0.0" / sys.argv[3]
place.parent.mkdir(parents=True)
made.rename(place)
for file in place.glob("json-*.arrow"):
    file.rename(place / file.name.replace("json-", "foods-"))
info = json.loads((place / "dataset_info.json").read_text())
(place / "dataset_info.json").write_text(json.dumps(info | {"dataset_name": "foods"}))
"""

READ = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tasks.shared.errors import DataError
from tasks.shared.sources import read_rows, source_digest

columns = {"prompt": "question", "answer": "reply"}
answers = []
for source in sys.argv[1:]:
    try:
        answers.append([source_digest(source, None), asdict(read_rows(source, columns, Path("unused")))])
    except DataError as error:
        answers.append([asdict(problem) for problem in error.problems])
print(json.dumps(answers))
"""


def run(code: str, home: Path, *arguments: str) -> str:
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dataset_of_the_cache_and_what_is_not_there(tmp_path: Path) -> None:
    rows = [{"id": 1, "question": "q1", "reply": "r1"}, {"id": 2, "question": "q2", "reply": None}]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "owner" / "local").mkdir(parents=True)
    run(PREPARE, tmp_path, str(tmp_path), str(tmp_path / "rows.jsonl"), REVISION)
    name = "hf:owner/foods"
    sources = [
        name,
        f"{name}/default@test[:1]",
        f"{name}@valid",
        f"{name}/other",
        "hf:owner/none",
        "hf:owner/local",
    ]
    whole, sliced, split, config, unknown, local = json.loads(run(READ, tmp_path, *sources))

    bad = {
        "file": name,
        "line": 2,
        "reason": "`reply` is missing",
        "excerpt": '{"question": "q2", "reply": null}',
    }
    assert whole == [f"{name}#{REVISION}", {"rows": [{"prompt": "q1", "answer": "r1"}], "bad": [bad]}]
    assert sliced[0] == f"{name}/default@test[:1]#{REVISION}"
    assert sliced[1] == {"rows": [{"prompt": "q1", "answer": "r1"}], "bad": []}
    assert 'Unknown split "valid"' in split[0]["got"]
    assert "Available configs in the cache: ['default']" in config[0]["got"]
    assert unknown[0]["got"] == "no answer from the Hub and no copy in the cache"
    assert 'load_dataset("owner/none")' in unknown[0]["remedy"]
    assert local[0]["got"].startswith("a local folder")


@pytest.mark.parametrize(
    ("source", "dataset"),
    [
        ("hf:owner/name", HubDataset("owner/name", None, "train")),
        ("hf:owner/na.me-1/conf_ig", HubDataset("owner/na.me-1", "conf_ig", "train")),
        ("hf:owner/name@test", HubDataset("owner/name", None, "test")),
        ("hf:owner/name/config@train[10%:20%]", HubDataset("owner/name", "config", "train[10%:20%]")),
    ],
)
def test_the_form_of_a_source(source: str, dataset: HubDataset) -> None:
    assert parse_hub_source(source) == dataset


@pytest.mark.parametrize(
    "source",
    ["hf:", "hf:name", "hf:/name", "hf:a/b/c/d", "hf:a/b@", "hf:a/b c", "hf:../b", "hf:a/..", "hf:a/b\n"],
)
def test_other_forms_are_refused(source: str) -> None:
    with pytest.raises(DataError, match="owner/name"):
        parse_hub_source(source)
