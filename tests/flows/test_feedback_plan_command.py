"""`retort feedback plan` on what a finished run of tiny random models left."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from configs.errors import RetortError
from flows.cli import app
from tasks.feedback.events import FeedbackEvent, Shown, write_events
from tasks.feedback.judgements import Ranking
from tasks.feedback.store.comparisons import Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.ml.models import ScoredModel, save_model, tiny_random_model
from tasks.ml.rows import Row, VerdictCheck, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.shared.local_store import LocalStore

ROOT = Path(__file__).parents[2]
Plan = Callable[..., Result]


def row(number: int, **changes: object) -> Row:
    fields = {
        "id": f"row-{number}",
        "task": f"family-{number % 2}",
        "groups": (),
        "split": "train",
        "context": f"Food {number}: energy 5 kcal",
        "question": "Is it rich?",
        "answer": "No.",
        "plain_words": 1,
        "medical": False,
        "check": VerdictCheck(yes=False),
    }
    return Row.model_validate(fields | changes)


def ranked(number: int, source: str) -> FeedbackEvent:
    return FeedbackEvent(
        id=f"{source}-{number}",
        row=f"row-{number}",
        prompt=f"Food {number}",
        answers=tuple(Shown(text=text, model="m", stopped=True) for text in ("No.", "Yes, very.")),
        judgement=Ranking(ranks=(1, 2)),
        annotator="anna",
        created_at=None,
        source=source,
        simulated=source == "simulated",
    )


def finished_run(home: Path) -> None:
    """Rows 0 to 7 may be asked about; 0 and 1 are what the reward model has learnt from, 8 is held out."""
    store, tokenizer = LocalStore(home / "store"), byte_tokenizer()
    rows = [*(row(number) for number in range(8)), row(8, split="test"), row(9, answer=None)]
    scored = ScoredModel(tiny_random_model(tokenizer, 2))
    with torch.no_grad():
        scored.head.weight.copy_(
            torch.linspace(-1, 1, scored.head.weight.numel()).view_as(scored.head.weight)
        )
    write: dict[str, Callable[[Path], None]] = {
        "clean": lambda folder: write_rows(folder / "rows.jsonl", rows),
        "distill": lambda folder: save_model(folder / "model", tiny_random_model(tokenizer, 0), tokenizer),
        "feedback": lambda folder: write_events(
            folder / "events.jsonl", [ranked(0, "simulated"), ranked(1, "simulated")]
        ),
        "reward": lambda folder: scored.save(folder / "model", tokenizer),
        "ppo": lambda folder: save_model(folder / "model", tiny_random_model(tokenizer, 1), tokenizer),
    }
    stages = []
    for name, fill in write.items():
        folder = home / "made" / name
        folder.mkdir(parents=True)
        fill(folder)
        key = f"{name}/{'0' * 64}"
        store.commit(key, name, folder, [], {}, {})
        stages.append({"name": name, "state": "executed", "seconds": 1.0, "ref": {"key": key}})
    (home / "latest").mkdir()
    (home / "latest" / "summary.json").write_text(json.dumps({"stages": stages}))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETORT_HOME", str(tmp_path))
    monkeypatch.delenv("RETORT_FEEDBACK_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(ROOT)
    return tmp_path


@pytest.fixture
def plan(home: Path) -> Plan:
    smoke = str(ROOT / "configs" / "smoke.yaml")
    return lambda *options: CliRunner().invoke(app, ["feedback", "plan", smoke, *options])


@pytest.fixture
def database(home: Path):
    opened = Database(f"sqlite:///{home / 'feedback.db'}")
    yield opened
    opened.close()


def test_the_queue_gets_pairs_of_questions_that_nobody_judged(
    plan: Plan, home: Path, database: Database
) -> None:
    finished_run(home)
    EventStore(database).add([ranked(2, "web")])
    result = plan("--count", "3", "--wanted", "2")
    assert result.exit_code == 0, result.output
    queue = Comparisons(database).open()
    assert len(queue) == 3
    assert {comparison.row for comparison in queue} <= {f"row-{number}" for number in range(3, 8)}
    assert len({comparison.row for comparison in queue}) == 3
    assert all(len(comparison.answers) == 2 and comparison.wanted == 2 for comparison in queue)
    assert all(comparison.answers[0].text != comparison.answers[1].text for comparison in queue)
    assert queue[0].priority >= queue[1].priority >= queue[2].priority > 0
    assert queue[0].prompt.startswith("Food")
    # Two pairs of each family are twice an equal share of 3, rounded up; so 3 is at most 3 of one.
    assert "3 of 3 pairs are new in the queue" in result.output.replace("\n", " ")

    # What waits is not asked about again: two questions are left.
    assert plan("--count", "9").exit_code == 0
    queue = Comparisons(database).open()
    assert len(queue) == len({comparison.row for comparison in queue}) == 5
    with pytest.raises(RetortError, match="all training questions are judged or queued"):
        CliRunner().invoke(app, ["feedback", "plan", "configs/smoke.yaml"], catch_exceptions=False)


def test_both_models_of_the_run_answer(plan: Plan, home: Path, database: Database) -> None:
    finished_run(home)
    assert plan("--count", "9", "--per-task", "9").exit_code == 0
    models = {shown.model for comparison in Comparisons(database).open() for shown in comparison.answers}
    assert len(models) == 2


def test_a_run_without_a_reward_model_has_nothing_to_plan_by(home: Path) -> None:
    finished_run(home)
    path = home / "latest" / "summary.json"
    stages = json.loads(path.read_text())["stages"]
    path.write_text(json.dumps({"stages": [stage for stage in stages if stage["name"] != "reward"]}))
    with pytest.raises(RetortError, match="no artifact of reward"):
        CliRunner().invoke(app, ["feedback", "plan", "configs/smoke.yaml"], catch_exceptions=False)
