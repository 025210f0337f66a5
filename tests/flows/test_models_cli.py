"""`retort models` on a home with a run and a night: what it shows, does and refuses."""

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from configs.errors import RetortError
from flows.cli import app
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.teacher import load_teacher_tokenizer
from tasks.model_registry import Candidate, ModelRegistry
from tasks.place import Place
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.local_store import LocalStore
from tasks.shared.mlflow_client import SETTINGS, MLflowLine
from tasks.shared.store_log import BrokenLogError

# MLflow 3.17 uses a loading strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

FIRST, SECOND = "a" * 64 + "@10", "b" * 64 + "@10-16"


class Clock(datetime):
    """Says what the test says."""

    moment = datetime(2026, 11, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.moment


class Home:
    """A home whose artifacts are made by hand."""

    def __init__(self, home: Path, scratch: Path) -> None:
        self.place = Place(home=home, tracking_uri=f"sqlite:///{home / 'mlflow.db'}", experiment="retort")
        self._store, self._scratch = LocalStore(home / "store"), scratch
        self._tokenizer = load_teacher_tokenizer("random:tiny", "main", scratch)

    def keep(
        self, kind: str, number: int, parents: list[ArtifactRef], config: Any = None, **summary: Any
    ) -> ArtifactRef:
        """An artifact of a stage; one of `ppo` holds a tiny model."""
        folder = self._scratch / f"{kind}{number}"
        folder.mkdir()
        (folder / "file.json").write_text("{}")
        if kind == "ppo":
            save_model(folder / "model", tiny_random_model(self._tokenizer, number), self._tokenizer)
        digests = [parent.sha256 for parent in parents]
        return self._store.commit(f"{kind}/{number:064x}", kind, folder, digests, config or {}, summary)


@pytest.fixture(scope="module")
def first_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Version 1 of a run, champion on 1 November; version 2 of a night, champion on the 3rd at noon."""
    below = tmp_path_factory.mktemp("models")
    made = Home(below / "home", below)
    keep = made.keep
    clean, general = keep("clean", 1, []), {"seed": 7}
    distill = keep("distill", 1, [clean], {"distill": {"steps": 9}} | general)
    feedback = keep("feedback", 1, [clean, distill], general, rows=10, simulated=10, annotators=3)
    reward = keep("reward", 1, [clean, distill, feedback], {"reward": {"epochs": 1, "batch": 4}} | general)
    settings = {"name": "use", "ppo": {"updates": 4, "penalty": 0.1}} | general
    ppo = keep("ppo", 1, [clean, distill, reward], settings)
    collected = keep("collect", 2, [clean], general, rows=6, simulated=0, annotators=2)
    again = keep("reward", 2, [clean, distill, collected], {"reward": {"epochs": 2, "batch": 4}} | general)
    settings = {"name": "use", "ppo": {"updates": 5, "penalty": 0.1}} | general
    night = keep("ppo", 2, [clean, ppo, again], settings)
    questions = {"evaluate": {"questions": 20}}
    keep("examine", 1, [clean, ppo], questions, rows=20, accuracy=[0.5, 0.25, 0.75], parameters=99)
    keep("examine", 2, [clean, night], questions, rows=20, accuracy=[0.75, 0.5, 1.0], parameters=99)
    # On other questions: of no use to compare with.
    keep("examine", 3, [clean, night], {"evaluate": {"questions": 5}}, rows=5, accuracy=[0.2, 0.1, 0.3])
    common = {"clean": clean, "distill": distill}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", *SETTINGS):
            patch.setenv(name, "true")
        patch.setattr("tasks.model_log.datetime", Clock)
        registry = ModelRegistry(made.place, "use")
        first = Candidate(model=ppo, reward=reward, feedback=FIRST, watermark=10, **common)
        registry.enter(first, "aligned by ppo in a run", "run")
        Clock.moment = datetime(2026, 11, 1, 8, tzinfo=UTC)
        registry.promote(1, "the first", "anna")
        Clock.moment = datetime(2026, 11, 3, 12, tzinfo=UTC)
        second = Candidate(model=night, reward=again, feedback=SECOND, watermark=16, **common)
        registry.enter(second, "a night", "gate")
        registry.promote(2, "gain 0.25", "gate", evidence="decide/" + "d" * 64)
        yield made.place.home


@pytest.fixture
def home(first_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that home, for the commands of one test."""
    shutil.copytree(first_home, tmp_path / "home")
    monkeypatch.setenv("RETORT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path / "home"


def retort(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["models", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def values(*arguments: str) -> Any:
    return json.loads(retort(*arguments, "--json"))


def refused(*arguments: str) -> str:
    error = CliRunner().invoke(app, ["models", *arguments]).exception
    assert isinstance(error, RetortError), error
    return str(error)


def aliases(home: Path) -> dict[str, str]:
    found = MLflowLine(f"sqlite:///{home / 'mlflow.db'}").client.get_registered_model("retort-use").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_the_list_says_who_is_what(home: Path) -> None:
    [use] = values("list")
    assert (use["name"], use["champion"], use["challenger"]) == ("use", 2, None)
    assert [(v["number"], v["watermark"], v["last"]["by"]) for v in use["versions"]] == [
        (1, 10, "anna"),
        (2, 16, "gate"),
    ]
    assert (use["aliases_set"], use["mlflow_problem"]) == ([], None)
    lines = retort("list").splitlines()
    [first] = [line for line in lines if "the first" in line]
    [second] = [line for line in lines if "gain 0.25" in line]
    assert "champion" in second
    assert "store, events 10-16" in second
    assert "champion" not in first
    assert "store, events to 10" in first


def test_the_list_sets_right_what_somebody_did_to_the_aliases(home: Path) -> None:
    client = MLflowLine(f"sqlite:///{home / 'mlflow.db'}").client
    client.set_registered_model_alias("retort-use", "champion", "1")
    assert "MLflow's `champion` was version 1, is version 2 now" in retort("list")
    assert aliases(home) == {"champion": "2"}


def test_back_and_forth(home: Path) -> None:
    assert values("rollback", "--reason", "complaints") == {"name": "use", "champion": 1, "before": 2}
    assert aliases(home) == {"champion": "1"}
    again = retort("promote", "1", "--reason", "why", "--by", "bert")
    assert again == "Version 1 is the champion of use already.\n"
    said = retort("promote", "2", "--reason", "they were wrong", "--by", "bert")
    assert said == "Version 2 is the champion of use now; version 1 was it before.\n"
    assert values("rollback", "--to", "1", "--reason", "again", "--by", "bert")["champion"] == 1
    acts = [(e["act"], e["version"]["number"], e["by"], e["reason"]) for e in values("history")[4:]]
    assert acts == [
        ("rolled_back", 1, pwd.getpwuid(os.geteuid()).pw_name, "complaints"),
        ("promoted", 2, "bert", "they were wrong"),
        ("rolled_back", 1, "bert", "again"),
    ]
    assert "rolled back" in retort("history")


@pytest.mark.parametrize(
    ("at", "numbers"),
    [
        ("2026-10-31", []),
        ("2026-11-01T07:59:59", []),
        ("2026-11-01T08:00", [1]),
        ("2026-11-01T08:30+01:00", []),
        ("2026-11-02", [1]),
        ("2026-11-03", [1, 2]),
        ("2026-11-03T11:59:59", [1]),
        ("2026-11-03T12:00", [2]),
        ("2031-01-01", [2]),
    ],
)
def test_what_was_live(home: Path, at: str, numbers: list[int]) -> None:
    assert [one["entry"]["version"]["number"] for one in values("history", "--at", at)["live"]] == numbers


def test_what_was_live_had_learnt_from_whom_and_why(home: Path) -> None:
    [one, two] = values("history", "--at", "2026-11-03")["live"]
    assert (one["since"], one["until"]) == ("2026-11-01T08:00:00+00:00", "2026-11-03T12:00:00+00:00")
    assert (two["since"], two["until"]) == ("2026-11-03T12:00:00+00:00", None)
    own = {"key": f"collect/{2:064x}", "events": 6, "simulated": 0, "annotators": 2, "inherited": False}
    before = {"key": f"feedback/{1:064x}", "events": 10, "simulated": 10, "annotators": 3}
    assert one["learnt"] == [before | {"inherited": False}]
    # The night went on from the model of the run, and so from what that had learnt.
    assert two["learnt"] == [own, before | {"inherited": True}]
    assert two["entry"]["reason"] == "gain 0.25"
    assert two["entry"]["evidence"] == "decide/" + "d" * 64
    assert (one["gone"], two["gone"]) == (0, 0)
    text = retort("history", "--at", "2026-11-03T12:00")
    assert "Version 2 of use was live since 2026-11-03 12:00:00 UTC, and still is." in text
    assert "Why: promoted by gate: gain 0.25" in text
    assert "6 judgements by 2 annotators (collect/000000000000)" in text
    assert "learnt before: 10 judgements by 3 annotators, 10 of them not by people" in text
    assert "No model of use was live then" in retort("history", "--at", "2020-01-01")


def test_feedback_that_is_gone_is_not_taken_for_another(home: Path) -> None:
    LocalStore(home / "store").delete(f"collect/{2:064x}")
    [live] = values("history", "--at", "2026-11-04")["live"]
    assert [(learnt["events"], learnt["inherited"]) for learnt in live["learnt"]] == [(10, True)]
    assert live["gone"] == 1
    assert "1 of the artifacts that it was made from" in retort("history", "--at", "2026-11-04")


def test_what_differs(home: Path) -> None:
    found = values("diff", "1", "2")
    assert found["config"] == {"ppo.updates": [4, 5], "reward.epochs": [1, 2]}
    assert found["feedback"] == {"feedback": [FIRST, SECOND], "watermark": [10, 16]}
    # Not the accuracy on five questions; nor what is the same for both.
    [figures] = found["figures"].values()
    assert figures == {"accuracy": [[0.5, 0.25, 0.75], [0.75, 0.5, 1.0]]}
    text = retort("diff", "1", "2")
    assert "0.75 [0.5, 1]" in text
    assert "reward.epochs" in text
    assert "reward.batch" not in text
    assert values("diff", "2", "2")["config"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "2", "--reason", " "], "--reason"),
        (["rollback", "--reason", "why", "--by", ""], "Give yours"),
        (["promote", "3", "--reason", "why"], "1 to 2"),
        (["diff", "1", "9"], "1 to 2"),
        (["rollback", "--to", "9", "--reason", "why"], "one of 1, 2"),
        (["history", "--at", "24.11.2026"], "year, month and day"),
        (["history", "--name", "uze"], "Did you mean `use`?"),
    ],
)
def test_what_cannot_be_is_refused(home: Path, arguments: list[str], said: str) -> None:
    assert said in refused(*arguments)
    assert len(values("history")) == 4


def test_without_a_model_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETORT_HOME", str(tmp_path / "empty"))
    assert "retort run" in retort("list")
    assert values("list") == []
    assert "retort run" in refused("history")
    (tmp_path / "empty" / "s3").mkdir(parents=True)
    assert "retort up" in refused("rollback", "--reason", "why")


def test_a_changed_log_is_not_shown_as_if_it_were_whole(home: Path) -> None:
    path = home / "store" / "log" / "use" / "00000002.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"anna", b"bert"))
    result = CliRunner().invoke(app, ["models", "list"])
    assert isinstance(result.exception, BrokenLogError)
    assert "00000003.json" in str(result.exception)
