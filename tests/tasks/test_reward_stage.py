"""Stage `reward` on a tiny student: from judgements of every kind to a model, its scores and its scale."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from configs.load import load_run_config
from tasks import train_reward
from tasks.feedback.events import FeedbackEvent, write_events
from tasks.ml.models import ScoredModel, save_model, tiny_random_model
from tasks.ml.reward_start import WarmStartRefused
from tasks.ml.rows import Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.ml.trainer import Watch
from tasks.shared.errors import StageError
from tasks.shared.tracking import MemoryRun

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
QUESTIONS = 16
Stage = Callable[..., tuple[dict[str, Any], Path]]


def event(number: int, **changes: Any) -> FeedbackEvent:
    """No is better than yes, and the third answer is none at all."""
    texts = (f"Yes {number}!", f"No {number}.", f"? {number}")
    fields = {
        "id": str(number),
        "row": f"row-{number}",
        "prompt": f"Is it rich, {number}?",
        "answers": [{"text": text, "model": "m", "stopped": True} for text in texts],
        "judgement": {"kind": "ranking", "ranks": (2, 1, None)},
        "annotator": "anna",
        "created_at": None,
        "source": "import",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(fields | changes)


@pytest.fixture
def stage(tmp_path: Path, make_row: Callable[..., Row]) -> Stage:
    """Runs the stage on events; the dataset knows the first half of the questions."""
    inputs = {name: tmp_path / name for name in ("clean", "distill", "feedback")}
    for path in inputs.values():
        path.mkdir()
    tokenizer = byte_tokenizer()
    save_model(inputs["distill"] / "model", tiny_random_model(tokenizer, 0), tokenizer)
    write_rows(inputs["clean"] / "rows.jsonl", [make_row(number) for number in range(QUESTIONS // 2)])
    outs = iter(range(9))

    def run(events: list[FeedbackEvent], **changes: Any) -> tuple[dict[str, Any], Path]:
        write_events(inputs["feedback"] / "events.jsonl", events)
        out = tmp_path / f"out-{next(outs)}"
        out.mkdir()
        fast = {"precision": "fp32", "epochs": 6, "learning_rate": 0.01, "token_budget": 600, "ensemble": 2}
        config = load_run_config(SMOKE, []).reward.model_copy(update=fast | changes)
        context = SimpleNamespace(
            section=lambda kind, name: config if name == "reward" else pytest.fail(name),
            seed=7,
            inputs=inputs,
            out=out,
            run=MemoryRun(id="1", name="reward", tags={}, params={}),
            bars=SimpleNamespace(say=lambda line: None),
            watch=lambda name, total: Watch(),
            earlier_reward=Path,
        )
        summary = train_reward.run(context)
        assert context.run.finals.keys() >= {
            f"reward/{name}" for name in ("score_mean", "train_accuracy", "go")
        }
        return summary, out

    return run


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("loss", ["bradley_terry", "rao_kupper", "plackett_luce"])
def test_the_model_learns_what_was_said_of_known_and_of_imported_questions(stage: Stage, loss: str) -> None:
    events = [event(number) for number in range(QUESTIONS)]
    summary, out = stage(events, loss=loss, holdout_share=0, epochs=10)
    assert summary["train_accuracy"] > 0.9
    assert (summary["train_pairs"], summary["test_pairs"]) == (3 * QUESTIONS, 0)
    assert "tie_threshold" not in summary
    scores = {line["text"]: line for line in lines(out)}
    assert len(scores) == 3 * QUESTIONS
    assert sum(scores[f"? {n}"]["score"] < 0 < scores[f"No {n}."]["score"] for n in range(QUESTIONS)) > 14
    assert all(line["deviation"] > 0 for line in scores.values())
    values = [line["score"] for line in scores.values()]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    assert summary["score_mean"] == pytest.approx(mean, abs=1e-5)
    assert summary["score_deviation"] == pytest.approx(deviation, abs=1e-5)
    assert ScoredModel.load(out / "model").head.out_features == 2


def test_the_held_out_share_is_of_questions_and_nothing_of_it_is_learnt(stage: Stage) -> None:
    events = [event(number) for number in range(QUESTIONS)]
    summary, out = stage(events, holdout_share=0.4)
    held_out = {line["row"] for line in lines(out) if line["held_out"]}
    assert 0 < len(held_out) < QUESTIONS
    assert summary["test_pairs"] == 3 * len(held_out)
    assert summary["train_pairs"] == 3 * (QUESTIONS - len(held_out))
    assert 0 <= summary["fails_below_floor"] <= 1
    learnt = json.loads((out / "learnt.json").read_text())
    assert len(learnt) == QUESTIONS - len(held_out)
    # Whatever is said of held-out questions, the same model comes out.
    turned = [
        event(n, judgement={"kind": "ranking", "ranks": (1, None, 2)}) if f"row-{n}" in held_out else event(n)
        for n in range(QUESTIONS)
    ]
    _, other = stage(turned, holdout_share=0.4)
    assert [line["score"] for line in lines(other)] == [line["score"] for line in lines(out)]


def test_a_question_that_came_in_twice_is_held_out_twice_or_not_at_all(stage: Stage) -> None:
    first = [event(number, row=f"first-{number}") for number in range(QUESTIONS)]
    second = [event(number, row=f"second-{number}") for number in range(QUESTIONS)]
    _, out = stage(first + second, holdout_share=0.4, epochs=1)
    held_out = {line["row"] for line in lines(out) if line["held_out"]}
    assert held_out
    assert {f"second-{name.split('-')[1]}" for name in held_out if name.startswith("first")} == {
        name for name in held_out if name.startswith("second")
    }


def test_ties_reach_the_loss(stage: Stage) -> None:
    said = [
        event(n, judgement={"kind": "ranking", "ranks": (1, 1, 2) if n % 2 else (2, 1, 3)})
        for n in range(QUESTIONS)
    ]
    summary, _ = stage(said, loss="rao_kupper", holdout_share=0, epochs=1)
    # 8 of 48 pairs tie: 1 - 2 / (1 + theta) = 1 / 6 among equals, from where it moves a little.
    assert summary["tie_threshold"] == pytest.approx(math.log(7 / 5), rel=0.15)
    assert "fails_below_floor" not in summary


def test_answers_that_annotators_wrote_are_learnt_but_set_no_scale(stage: Stage) -> None:
    fix = {"kind": "correction", "corrected": 0, "text": "No, never."}
    events = [event(n) for n in range(12)] + [event(n, id=f"c{n}", judgement=fix) for n in range(12)]
    summary, out = stage(events, holdout_share=0)
    written = [line for line in lines(out) if line["text"] == "No, never."]
    assert len(written) == 12
    shown = [line["score"] for line in lines(out) if line["text"] != "No, never."]
    assert summary["score_mean"] == pytest.approx(sum(shown) / len(shown), abs=1e-5)


def test_too_few_preferences_are_refused(stage: Stage) -> None:
    with pytest.raises(StageError, match="6 preferences to learn from"):
        stage([event(0), event(1)], holdout_share=0)


def test_a_warm_start_goes_on_and_does_not_examine_on_what_was_learnt(stage: Stage) -> None:
    events = [event(number) for number in range(QUESTIONS)]
    _, everything = stage(events, holdout_share=0)
    summary, out = stage(events, holdout_share=0.4, warm_start=str(everything), epochs=1, learning_rate=1e-6)
    before, after = (torch.tensor([line["score"] for line in lines(folder)]) for folder in (everything, out))
    torch.testing.assert_close(after, before, atol=0.05, rtol=0)
    assert before.std() > 0.5
    assert summary["test_pairs"] == 0
    _, half = stage(events[:12], holdout_share=0.4)
    held_out = {line["row"] for line in lines(half) if line["held_out"]}
    _, third = stage(events, holdout_share=0.9, warm_start=str(half), epochs=1)
    held_out_later = {line["row"] for line in lines(third) if line["held_out"]}
    assert held_out < held_out_later
    assert not held_out_later & ({f"row-{n}" for n in range(12)} - held_out)


def test_a_warm_start_that_does_not_fit_is_refused(stage: Stage, tmp_path: Path) -> None:
    events = [event(number) for number in range(QUESTIONS)]
    _, out = stage(events, holdout_share=0, epochs=1)
    with pytest.raises(WarmStartRefused, match="2 heads; expected 3"):
        stage(events, warm_start=str(out), ensemble=3)
    with pytest.raises(StageError, match="without learnt.json"):
        stage(events, warm_start=str(out / "model"))
