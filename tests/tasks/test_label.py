"""The stage `label` as a whole: what is asked again, and what a killed or failing teacher leaves behind."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import tasks.label
from configs.load import load_run_config
from tasks.ml.models import save_model
from tasks.ml.rows import Row, VerdictCheck, load_rows, write_rows
from tasks.ml.teacher import load_teacher
from tasks.shared.endpoint import ChatReply
from tasks.shared.errors import Problem, ServiceError
from tasks.shared.local_store import LocalStore
from tasks.shared.progress import ProgressBars
from tasks.shared.record_shards import RecordShards
from tasks.stage import StageContext

ROOT = Path(__file__).parents[2]
SECRET = "sesame-0815"


@dataclass
class Noted:
    """Takes what a stage records."""

    points: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def metrics(self, points: Mapping[str, float]) -> None:
        self.points |= points

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.tables[name] = rows


class Label:
    """Runs the stage in a folder; what one run recorded, the next finds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said, self.runs = folder, [], 0
        (folder / "clean").mkdir()

    def ask(self, *names: str, answer: str | None = None) -> None:
        write_rows(self.folder / "clean" / "rows.jsonl", [row(name, answer, split="train") for name in names])

    def __call__(self, *overrides: str) -> tuple[dict[str, Any], list[Row], Noted]:
        config = load_run_config(
            ROOT / "configs" / "smoke.yaml",
            ["label.precision=fp32", "label.open_questions=99", "label.filters=[]", *overrides],
        ).model_dump(mode="json")
        self.runs += 1
        out = self.folder / f"out-{self.runs}"
        out.mkdir()
        noted: Any = Noted()
        nothing: Any = None
        store = LocalStore(self.folder / "store")
        with ProgressBars(Console(quiet=True)) as bars:
            context = StageContext(
                config={"label": config["label"], "teacher": config["teacher"], "seed": 7},
                inputs={"clean": self.folder / "clean"},
                refs={},
                out=out,
                cache=self.folder / "cache",
                run=noted,
                bars=bars,
                checkpoints=nothing,
                tracker=nothing,
                records=lambda namespace: RecordShards(store, namespace, self.said.append),
                external={"teacher": "random:tiny"},
                feedback_url="no feedback is read",
            )
            summary = tasks.label.run(context)
        return summary, load_rows(out / "rows.jsonl"), noted


def row(name: str, answer: str | None, split: Any) -> Row:
    return Row(
        id=name,
        task="open",
        groups=(name,),
        split=split,
        context=f"Facts about {name}.",
        question=f"What of {name}?",
        answer=answer,
        plain_words=3,
        medical=False,
        check=VerdictCheck(yes=True),
    )


@pytest.fixture
def label(tmp_path: Path) -> Label:
    return Label(tmp_path)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry each time that the teacher's weights are loaded."""
    noted: list[int] = []

    def load(*arguments: Any) -> Any:
        noted.append(1)
        return load_teacher(*arguments)

    monkeypatch.setattr(tasks.label, "load_teacher", load)
    return noted


def texts(rows: list[Row]) -> dict[str, str | None]:
    return {one.id: one.answer for one in rows}


def test_only_new_questions_are_asked_and_nothing_is_loaded_for_none(label: Label, loads: list[int]) -> None:
    label.ask("a", "b", "c")
    first, rows, noted = label()
    assert loads == [1]
    assert first == {"rows": 3, "gold": 0, "asked": 3, "answers": 6, "kept": 3, "dropped": {}}
    assert noted.points["label/known"] == 0
    _, again, noted = label()
    assert loads == [1]
    assert again == rows
    assert noted.points["label/known"] == 6
    label.ask("b", "new", "a", "c")
    _, more, noted = label()
    assert loads == [1, 1]
    assert noted.points["label/known"] == 6
    assert {name: text for name, text in texts(more).items() if name != "new"} == texts(rows)


def test_another_configuration_of_the_filters_asks_nothing(label: Label, loads: list[int]) -> None:
    label.ask("a", "b")
    label()
    summary, rows, noted = label("label.filters=[length,stopped]", "label.min_words=100")
    assert loads == [1]
    assert rows == []
    assert summary["dropped"] == {"length": 4, "stopped": 0}
    assert noted.points["label/dropped/length"] == 4
    assert noted.points["label/dropped/stopped"] == 0
    assert [entry["dropped"] for entry in noted.tables["teacher_answers.json"]] == ["length"] * 4


def test_questions_with_a_gold_answer_are_asked_on_demand(label: Label, loads: list[int]) -> None:
    label.ask("a", "b", answer="Yes.")
    summary, rows, _ = label()
    assert (summary["rows"], summary["asked"], loads) == (2, 0, [])
    assert {one.source for one in rows} == {"gold"}
    _, rows, _ = label("label.answered_share=1")
    assert [(one.id, one.source) for one in rows] == [
        ("a", "gold"),
        ("b", "gold"),
        ("a/teacher-0", "teacher"),
        ("b/teacher-0", "teacher"),
    ]
    assert [one.answer for one in rows[:2]] == ["Yes.", "Yes."]


def test_a_damaged_shard_is_told_and_its_answers_are_made_again(label: Label, loads: list[int]) -> None:
    label.ask("a", "b")
    _, rows, _ = label()
    [shard] = [path for path in (label.folder / "store" / "shards").rglob("*") if path.is_file()]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    _, again, _ = label()
    assert again == rows
    assert loads == [1, 1]
    assert len(label.said) == 1
    assert shard.name in label.said[0]


def test_a_failing_endpoint_leaves_what_it_answered(
    label: Label, loads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def ask(endpoint: Any, secret: Any, requests: Any, piece: int, on_reply: Any) -> Iterator[Any]:
        assert secret == SECRET
        asked.append([request.messages[-1]["content"].split()[-1] for request in requests.values()])
        assert all(0 <= request.seed < 2**31 for request in requests.values())
        names = list(requests)
        yield {name: ChatReply(f"say {name[:4]}", True) for name in names[: 3 if len(asked) == 1 else None]}
        if len(asked) == 1:
            raise ServiceError(Problem("label.endpoint", "1 of 4 answers missing", "all", "Run again."))

    monkeypatch.setattr(tasks.label, "ask", ask)
    monkeypatch.setenv("RETORT_ENDPOINT_KEY", SECRET)
    label.ask("a", "b")
    where = ("label.endpoint=http://127.0.0.1:9/v1", "label.endpoint_model=m")
    with pytest.raises(ServiceError, match="1 of 4"):
        label(*where)
    summary, rows, noted = label(*where)
    assert asked == [["a?", "a?", "b?", "b?"], ["b?"]]
    assert summary["answers"] == 4
    assert noted.points["label/known"] == 3
    assert len(rows) == 2
    assert loads == []
    # Another server, or another model there, is another teacher.
    label(where[0], "label.endpoint_model=n")
    assert asked[2] == ["a?", "a?", "b?", "b?"]
    held = [path.read_bytes() for path in label.folder.rglob("*") if path.is_file()]
    assert held
    assert not any(SECRET.encode() in data for data in held)


@pytest.fixture
def served_teacher(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Address and name of a tiny random model behind `transformers serve`."""
    model, tokenizer = load_teacher("random:tiny", "main", tmp_path)
    model.generation_config.do_sample = True
    save_model(tmp_path / "tiny", model, tokenizer)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(tmp_path / "tiny")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    log = tmp_path / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            env=environment | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1", str(tmp_path / "tiny")
    finally:
        process.kill()
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 45
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"no server:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)


@pytest.mark.service
@pytest.mark.timeout(120)
def test_a_real_server_answers_each_question_once(
    label: Label, loads: list[int], served_teacher: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, model = served_teacher
    monkeypatch.setenv("RETORT_ENDPOINT_KEY", SECRET)
    label.ask("a", "b", "c")
    where = (f"label.endpoint={url}", f"label.endpoint_model={model}")
    summary, rows, noted = label(*where)
    assert (summary["answers"], summary["kept"], noted.points["label/known"]) == (6, 3, 0)
    assert all(one.source == "teacher" for one in rows)
    # Eight tokens are asked for, of one byte each; the tiny model stops by chance only.
    assert all(len((one.answer or "").encode()) <= 24 for one in rows)
    _, again, noted = label(*where)
    assert again == rows
    assert noted.points["label/known"] == 6
    assert loads == []
