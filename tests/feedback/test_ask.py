"""Answers of several models become comparisons; models and questions of the last run are found."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from configs.errors import RetortError
from flows.cli import app
from tasks.feedback.ask import Asking, Author, make_comparisons
from tasks.feedback.events import Shown
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.ml import answering
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.rows import Row, VerdictCheck, write_rows
from tasks.ml.teacher import load_teacher_tokenizer
from tasks.model_log import ModelLog
from tasks.model_records import Act, ModelVersion
from tasks.place import Place
from tasks.shared.artifacts import MANIFEST_NAME, ArtifactRef, sha256_file
from tasks.shared.local_store import LocalStore


def row(number: int, split: str = "train") -> Row:
    fields: dict[str, Any] = {
        "task": "lookup",
        "groups": (f"food {number}",),
        "context": f"Food {number}: 7 g",
    }
    fields |= {"question": "How much?", "answer": None, "plain_words": 3, "medical": False}
    return Row(id=f"row-{number}", split=split, check=VerdictCheck(yes=True), **fields)


ROWS = [row(number) for number in range(6)]


def asking(**changes: int) -> Asking:
    counts = {"questions": 6, "answers": 3, "wanted": 2} | changes
    return Asking(**counts, temperature=1.0, max_new_tokens=8, precision="fp32")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two artifact folders that hold tiny models of random weights."""
    below = tmp_path_factory.mktemp("models")
    tokenizer = load_teacher_tokenizer("random:tiny", "main", below)
    for name, seed in (("champion", 1), ("challenger", 2)):
        (below / name).mkdir()
        save_model(below / name / "model", tiny_random_model(tokenizer, seed), tokenizer)
    return [below / "champion", below / "challenger"]


@pytest.fixture
def authors(models: list[Path]) -> list[Author]:
    return [Author(folder / "model", folder.name) for folder in models]


def test_models_take_turns_and_answer_alike_every_time(authors: list[Author]) -> None:
    made = make_comparisons(authors, ROWS, asking(), NoBar())
    assert [len(one.answers) for one in made] == [3] * 6
    assert sorted(one.row for one in made) == [one.id for one in ROWS]
    assert {(one.task, one.wanted, one.priority) for one in made} == {("lookup", 2, 0.0)}
    number = made[0].row.removeprefix("row-")
    assert made[0].prompt == f"Food {number}: 7 g\nHow much?"
    # Three turns of two models: every other question gets the larger share of the other one.
    shares = [[answer.model for answer in one.answers].count("champion") for one in made]
    assert shares == [2, 1, 2, 1, 2, 1]
    assert make_comparisons(authors, ROWS, asking(), NoBar()) == made


def test_more_questions_include_the_first(authors: list[Author]) -> None:
    few = [one.row for one in make_comparisons(authors[:1], ROWS, asking(questions=2), NoBar())]
    more = [one.row for one in make_comparisons(authors[:1], ROWS, asking(questions=4), NoBar())]
    assert more[:2] == few
    assert len(set(more)) == 4


def test_the_same_text_is_shown_once(authors: list[Author], monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter(["same", "other", "same", "same", "same", "same"])

    def write(model: Any, tokenizer: Any, rows: list[Row], *_: Any) -> list[answering.Written]:
        return [answering.Written(next(texts), (), True, 1.0) for _ in rows]

    monkeypatch.setattr("tasks.feedback.samples.write_answers", write)
    [made] = make_comparisons(authors, ROWS, asking(questions=2, answers=3), NoBar())
    # The champion wrote it first. The other question got nothing else, and is left out.
    assert made.answers == (
        Shown(text="same", model="champion", stopped=True),
        Shown(text="other", model="champion", stopped=True),
    )


def queued(home: Path) -> list[Comparison]:
    database = Database(f"sqlite:///{home / 'feedback.db'}")
    try:
        return Comparisons(database).open()
    finally:
        database.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETORT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("RETORT_FEEDBACK_URL", raising=False)
    monkeypatch.setattr("tasks.shared.hardware.faster_precision", lambda _: "fp32")
    return tmp_path / "home"


def test_named_models_answer_named_questions(home: Path, models: list[Path], tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [*ROWS[:2], row(8, "test"), row(9, "valid")])
    options = [f"--model={models[0]}", f"--model={models[1] / 'model'}", f"--rows={tmp_path / 'rows.jsonl'}"]
    command = ["feedback", "ask", *options, "--answers=4", "--wanted=3", "--longest=8"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "2 comparisons queued." in result.output
    found = queued(home)
    # What is held out is not asked.
    assert {one.row for one in found} == {"row-0", "row-1"}
    assert {one.wanted for one in found} == {3}
    assert all(len({answer.model for answer in one.answers}) == 2 for one in found)
    # Asked again it put the same questions once more, and a second night learnt nothing new.
    again = CliRunner().invoke(app, command).output
    assert "0 comparisons queued.\n2 of 2 questions were put to these models before." in again


def test_asking_again_brings_other_questions(home: Path, models: list[Path], tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(number) for number in range(4)])
    rows = f"--rows={tmp_path / 'rows.jsonl'}"
    command = ["feedback", "ask", f"--model={models[0]}", rows, "--questions=2", "--answers=3", "--longest=8"]
    for asked in (2, 4, 4):
        assert CliRunner().invoke(app, command).exit_code == 0
        assert len({one.row for one in queued(home)}) == asked
    # Another model is asked all of them anew.
    command[2] = f"--model={models[1]}"
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(queued(home)) == 6


@pytest.mark.parametrize("align", ["ppo", "dpo"])
def test_the_last_runs_models_answer_its_questions(
    home: Path, models: list[Path], tmp_path: Path, align: str
) -> None:
    # After `align=dpo` the command looked for an artifact of `ppo`, and failed.
    refs = artifacts(home, models, tmp_path, align)
    leave_summary(home, refs)
    result = CliRunner().invoke(app, ["feedback", "ask", "--questions=3", "--answers=2", "--longest=8"])
    assert result.exit_code == 0, result.output
    models_shown = {tuple(sorted(answer.model for answer in one.answers)) for one in queued(home)}
    assert models_shown == {tuple(sorted((refs["distill"].sha256, refs[align].sha256)))}
    # The digest of an artifact is that of its manifest: a folder named by hand is the same model.
    manifest = home / "store" / "artifacts" / refs[align].key / MANIFEST_NAME
    assert sha256_file(manifest) == refs[align].sha256


def artifacts(home: Path, models: list[Path], scratch: Path, align: str = "ppo") -> dict[str, ArtifactRef]:
    """Two models and their questions, as a run leaves them."""
    store = LocalStore(home / "store")
    refs = {}
    for stage, folder in (("distill", models[0]), (align, models[1])):
        refs[stage] = store.commit(f"{stage}/{'a' * 64}", stage, folder, [], {}, {"stage": stage})
    (scratch / "clean").mkdir()
    write_rows(scratch / "clean" / "rows.jsonl", ROWS)
    refs["clean"] = store.commit(f"clean/{'a' * 64}", "clean", scratch / "clean", [], {}, {})
    return refs


def enter(home: Path, name: str, refs: dict[str, ArtifactRef], *acts: tuple[Act, str]) -> None:
    """Write acts on models of these stages into the log of a use case."""
    place = Place(home=home, tracking_uri="", experiment="")
    made_from = {"clean": refs["clean"], "distill": refs["distill"], "reward": None}
    numbers: dict[str, int] = {}
    log = ModelLog(place, name, print)
    for act, stage in acts:
        fields: dict[str, Any] = made_from | {"model": refs[stage], "feedback": "simulated", "watermark": 0}
        fields |= {"number": numbers.setdefault(stage, len(numbers) + 1), "name": name}
        version = ModelVersion(**fields, served_sha256=refs[stage].sha256, mlflow_version=None)
        with log.writing() as entries:
            log.append(entries, act, version, "why", "anna")


def test_champion_and_challenger_answer_without_a_last_run(
    home: Path, models: list[Path], tmp_path: Path
) -> None:
    refs = artifacts(home, models, tmp_path)
    command = ["feedback", "ask", "--questions=3", "--answers=2", "--longest=8"]
    enter(home, "use", refs, ("entered", "distill"))
    # A challenger alone is nobody's rival.
    assert "summary of a finished run" in str(CliRunner().invoke(app, command).exception)
    enter(home, "other", refs, ("entered", "ppo"))
    enter(home, "use", refs, ("promoted", "distill"))
    alone = CliRunner().invoke(app, command)
    assert "Asked: version 1 of use." in alone.output
    assert {answer.model for one in queued(home) for answer in one.answers} == {refs["distill"].sha256}
    enter(home, "third", refs, ("entered", "distill"), ("promoted", "distill"), ("entered", "ppo"))
    two = CliRunner().invoke(app, command)
    assert isinstance(two.exception, RetortError)
    assert "champions of third, use" in str(two.exception)


def test_champion_and_challenger_answer_the_champions_questions(
    home: Path, models: list[Path], tmp_path: Path
) -> None:
    refs = artifacts(home, models, tmp_path)
    enter(home, "use", refs, ("entered", "distill"), ("promoted", "distill"), ("entered", "ppo"))
    result = CliRunner().invoke(app, ["feedback", "ask", "--questions=3", "--answers=2", "--longest=8"])
    assert result.exit_code == 0, result.output
    assert "Asked: version 1 and 2 of use." in result.output
    models_shown = {tuple(sorted(answer.model for answer in one.answers)) for one in queued(home)}
    assert models_shown == {tuple(sorted((refs["distill"].sha256, refs["ppo"].sha256)))}
    assert {one.row for one in queued(home)} <= {one.id for one in ROWS}


def leave_summary(home: Path, refs: dict[str, ArtifactRef]) -> None:
    (home / "latest").mkdir(parents=True)
    stages = [{"name": name, "ref": ref.model_dump(mode="json")} for name, ref in refs.items()]
    (home / "latest" / "summary.json").write_text(json.dumps({"stages": stages}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "summary of a finished run"),
        (["--model={models}/nothing", "--rows={rows}"], "config.json"),
        (["--model={models}/champion", "--rows={rows}.gone"], "Check `--rows`"),
        (["--model={models}/champion", "--rows={models}/champion/model/config.json"], "Check `--rows`"),
    ],
)
def test_what_is_missing_is_named(
    home: Path, models: list[Path], tmp_path: Path, options: list[str], said: str
) -> None:
    write_rows(tmp_path / "rows.jsonl", ROWS)
    values = {"models": models[0].parent, "rows": tmp_path / "rows.jsonl"}
    result = CliRunner().invoke(app, ["feedback", "ask", *(option.format(**values) for option in options)])
    assert isinstance(result.exception, RetortError)
    assert said in str(result.exception)


def test_a_run_from_before_says_what_to_do(home: Path, models: list[Path]) -> None:
    leave_summary(home, {})
    result = CliRunner().invoke(app, ["feedback", "ask"])
    assert "Start the run again" in str(result.exception)
