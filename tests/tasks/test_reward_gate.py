"""The stage `reward` on a tiny model, its card, and what PPO makes of a card that does not say go."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from configs.errors import Problem
from configs.load import load_run_config
from tasks import align_ppo, train_reward
from tasks.feedback.events import FeedbackEvent, Shown, write_events
from tasks.feedback.judgements import Ranking
from tasks.ml.card_files import load_card, save_card
from tasks.ml.card_verdict import Verdict
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.reward_card import RewardCard
from tasks.ml.rows import Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.ml.trainer import Watch
from tasks.shared.errors import StageError
from tasks.shared.tracking import MemoryRun

CONFIGS = Path(__file__).parents[2] / "configs"
SMOKE = CONFIGS / "smoke.yaml"
QUESTIONS = 110  # half of them, more or less, are held out
Context = Callable[..., SimpleNamespace]


def event(number: int, is_no_better: bool, draw: random.Random) -> FeedbackEvent:
    # As long as each other in words and in characters.
    answers = [Shown(text=text, model="m", stopped=True) for text in ("no", "eh")]
    draw.shuffle(answers)
    ranks = tuple(1 if (answer.text == "no") == is_no_better else 2 for answer in answers)
    return FeedbackEvent(
        id=str(number),
        row=f"row-{number}",
        task="lookup",
        prompt="",
        answers=tuple(answers),
        judgement=Ranking(ranks=ranks),
        annotator="simulated-1",
        created_at=None,
        source="simulated",
        simulated=True,
    )


@pytest.fixture
def context_of(tmp_path: Path, make_row: Callable[..., Row]) -> Context:
    """The stage's context, with whether "no" is the better answer to each question."""

    def make(labels: list[bool]) -> SimpleNamespace:
        inputs = {name: tmp_path / name for name in ("clean", "distill", "feedback")}
        for path in (*inputs.values(), tmp_path / "out"):
            path.mkdir()
        tokenizer, draw = byte_tokenizer(), random.Random(0)
        save_model(inputs["distill"] / "model", tiny_random_model(tokenizer, 0), tokenizer)
        questions = [make_row(n, context="", question=f"{n}?") for n in range(len(labels))]
        write_rows(inputs["clean"] / "rows.jsonl", questions)
        events = [event(number, label, draw) for number, label in enumerate(labels)]
        write_events(inputs["feedback"] / "events.jsonl", events)
        changes = {"precision": "fp32", "epochs": 1, "learning_rate": 0.02, "holdout_share": 0.5}
        config = load_run_config(SMOKE, []).reward.model_copy(update=changes)
        said: list[str] = []
        return SimpleNamespace(
            section=lambda kind, name: config if name == "reward" else pytest.fail(name),
            seed=7,
            inputs=inputs,
            out=tmp_path / "out",
            run=MemoryRun(id="1", name="reward", tags={}, params={}),
            watch=lambda name, total: Watch(),
            bars=SimpleNamespace(say=said.append),
            said=said,
        )

    return make


def test_a_model_that_learnt_what_people_like_may_teach(context_of: Context) -> None:
    context = context_of([True] * QUESTIONS)
    summary = train_reward.run(context)
    assert summary["card"] == "go"
    assert summary["rows"] == summary["train_pairs"] + summary["test_pairs"] == QUESTIONS
    assert summary["accuracy"] == summary["accuracy_low"] == 1.0
    assert summary["length_rule_accuracy"] == 0.5
    assert summary["lead_over_length_shadow"] == 0.5
    assert context.run.finals["reward/go"] == 1.0
    assert context.run.figures == ["reliability"]
    assert {part["name"] for part in context.run.tables["reward_slices"]} >= {"lookup", "simulated-1"}
    assert context.run.files == ["card/card.md"]
    assert context.said == ["reward: the card says go: it beats every rule that understands nothing"]
    page = (context.out / "card.md").read_text()
    assert "**Simulated feedback.**" in page
    assert load_card(context.out)[0].decision == "go"


def test_a_model_trained_on_shuffled_labels_is_refused(context_of: Context) -> None:
    labels = [number % 2 == 0 for number in range(QUESTIONS)]
    random.Random(1).shuffle(labels)
    context = context_of(labels)
    summary = train_reward.run(context)
    assert summary["card"] == "stop"
    assert context.run.finals["reward/go"] == 0.0
    ppo = ppo_context(context.out)
    with pytest.raises(StageError, match="a coin is right as often"):
        align_ppo.heed_card(ppo, config_of("stop"))


def test_scores_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(StageError, match="lower `reward.learning_rate`"):
        train_reward.check_finite(torch.tensor([0.0, math.nan]))


def config_of(gate: str) -> Any:
    return load_run_config(SMOKE, [f"ppo.reward_gate={gate}"]).ppo


def ppo_context(folder: Path) -> Any:
    said: list[str] = []
    return SimpleNamespace(inputs={"reward": folder}, bars=SimpleNamespace(say=said.append), said=said)


def write_card(folder: Path, verdict: Verdict) -> None:
    save_card(folder, RewardCard(0, 0, 0, 0, 0, 0.95, None), verdict)


def reasons() -> tuple[Problem, ...]:
    return tuple(Problem("reward model", f"case {name}", "better", "Mend it.") for name in "AB")


def test_ppo_names_every_reason_and_what_to_do(tmp_path: Path) -> None:
    write_card(tmp_path, Verdict("stop", reasons(), "Collect more."))
    with pytest.raises(StageError) as caught:
        align_ppo.heed_card(ppo_context(tmp_path), config_of("stop"))
    assert [problem.got for problem in caught.value.problems[:2]] == ["case A", "case B"]
    page = tmp_path / "card.md"
    assert f"Collect more. The card: {page}. To go on all the same: `ppo.reward_gate=warn`." in str(
        caught.value
    )
    assert page.is_file()
    assert caught.value.exit_code == 2


def test_too_few_preferences_have_a_message_of_their_own(tmp_path: Path) -> None:
    write_card(tmp_path, Verdict("too few", reasons()[:1], "Collect more."))
    with pytest.raises(StageError, match="too few held-out preferences to tell"):
        align_ppo.heed_card(ppo_context(tmp_path), config_of("stop"))


def test_a_warning_is_loud_and_goes_on(tmp_path: Path) -> None:
    write_card(tmp_path, Verdict("stop", reasons(), "Collect more."))
    context = ppo_context(tmp_path)
    align_ppo.heed_card(context, config_of("warn"))
    assert len(context.said) == 3
    assert all(line.startswith("WARNING: ") for line in context.said)
    assert "case A" in context.said[1]


def test_a_card_that_says_go_is_not_spoken_of(tmp_path: Path) -> None:
    write_card(tmp_path, Verdict("go", (), ""))
    context = ppo_context(tmp_path)
    align_ppo.heed_card(context, config_of("stop"))
    assert context.said == []


def test_ppo_heeds_the_card_before_it_loads_anything(tmp_path: Path) -> None:
    write_card(tmp_path, Verdict("stop", reasons(), "Collect more."))
    context = ppo_context(tmp_path)
    context.section = lambda kind, name: config_of("stop")
    with pytest.raises(StageError):
        align_ppo.run(context)  # it has no student to load


def test_what_states_nothing_else_stops_and_simulated_annotators_warn() -> None:
    assert load_run_config(CONFIGS / "base.yaml", []).ppo.reward_gate == "stop"
    assert load_run_config(None, []).ppo.reward_gate == "warn"
    assert load_run_config(SMOKE, []).ppo.reward_gate == "warn"


def test_a_card_is_readable_by_programs(tmp_path: Path) -> None:
    write_card(tmp_path, Verdict("stop", reasons(), "Collect more."))
    saved = json.loads((tmp_path / "card.json").read_text())
    assert saved["decision"] == "stop"
    assert saved["advice"] == "Collect more."
    assert saved["evidence"] is None
