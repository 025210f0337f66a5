"""The stage `score`: what it keeps, what is never scored again, and what the gate decides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import tasks.score
from configs.load import load_run_config
from tasks.ml.prompts import encode
from tasks.ml.rows import ReferenceCheck, Row, write_rows
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal
from tasks.shared.local_store import LocalStore
from tasks.shared.progress import ProgressBars
from tasks.shared.record_shards import RecordShards
from tasks.shared.tracking import MemoryTracker
from tasks.stage import StageContext

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"
ALL = ("score.precision=fp32", "score.share=1", "score.top_k=4", "score.most_lost=1")


def build_row(name: str) -> Row:
    return Row(
        id=name,
        task="open",
        groups=(name,),
        split="train",
        context=f"Facts about {name}.",
        question=f"What of {name}?",
        answer=f"It is {name}.",
        plain_words=3,
        medical=False,
        check=ReferenceCheck(text="It"),
    )


@pytest.fixture
def score(tmp_path: Path) -> Callable[..., tuple[dict[str, Any], TeacherSignal]]:
    """The stage on rows of these names; what one run recorded, the next finds."""
    store, runs = LocalStore(tmp_path / "store"), iter(range(99))
    (tmp_path / "label").mkdir()

    def start(names: str, *overrides: str) -> tuple[dict[str, Any], TeacherSignal]:
        write_rows(tmp_path / "label" / "rows.jsonl", [build_row(name) for name in names.split()])
        config = load_run_config(SMOKE, [*ALL, *overrides])
        out, tracker = tmp_path / f"out-{next(runs)}", MemoryTracker()
        out.mkdir()
        nothing: Any = None
        with ProgressBars(Console(quiet=True)) as bars, tracker.stage("score", "key", {}) as run:
            context = StageContext(
                {"score": config.score.model_dump(), "teacher": config.teacher.model_dump(), "seed": 7},
                {"label": tmp_path / "label"},
                {},
                out,
                tmp_path / "cache",
                run,
                bars,
                nothing,
                tracker,
                lambda namespace: RecordShards(store, namespace, pytest.fail),
                {"teacher": "random:tiny"},
                "no feedback is read",
            )
            summary = tasks.score.run(context)
        return summary, TeacherSignal.load(out / "signal")

    return start


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry each time that the teacher's weights are loaded."""
    noted: list[str] = []

    def load(source: str, *rest: Any) -> Any:
        noted.append(source)
        return load_teacher(source, *rest)

    monkeypatch.setattr(tasks.score, "load_teacher", load)
    return noted


def test_every_token_of_an_answer_has_the_teachers_top(score, tmp_path: Path) -> None:
    summary, signal = score("rye oat")
    model, tokenizer = load_teacher("random:tiny", "main", tmp_path)
    for index, name in enumerate(("rye", "oat")):
        example = encode(tokenizer, build_row(name))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([example.prompt + example.response])).logits[0]
        wanted = logits[len(example.prompt) - 1 : -1].log_softmax(-1).topk(4)
        start, end = signal.spans[index]
        assert end - start == len(example.response)
        assert np.array_equal(signal.ids[start:end], wanted.indices.numpy())
        np.testing.assert_allclose(signal.log_probs[start:end], wanted.values.numpy(), rtol=2e-3)
    assert summary["tokens"] == len(signal.log_tail)
    assert summary["bytes_per_token"] == 4 * 4 + 4


def test_what_was_scored_is_not_scored_again(score, loads) -> None:
    _, first = score("rye oat")
    assert len(loads) == 1
    # Another order, and one less: all of it is known, so the weights are not even loaded.
    _, again = score("oat rye")
    assert len(loads) == 1
    assert np.array_equal(again.ids[slice(*again.spans[1])], first.ids[slice(*first.spans[0])])
    score("oat rye", "score.top_k=8")
    assert len(loads) == 2


def test_a_share_of_nothing_needs_no_teacher(score, loads) -> None:
    summary, signal = score("rye oat", "score.share=0")
    assert loads == []
    assert summary["tokens"] == len(signal.log_tail) == 0
    assert summary["top_k"] == 4


def test_the_gate_keeps_more_where_too_much_would_be_lost(score) -> None:
    few, _ = score("rye oat", "score.most_lost=1")
    more, signal = score("rye oat", "score.most_lost=0.5")
    assert (few["top_k"], more["lost"] <= 0.5) == (4, True)
    assert more["top_k"] > 4
    assert signal.ids.shape[1] == more["top_k"]


def test_a_temperature_is_kept_with_the_signal(score) -> None:
    cold, hot = (score("rye", f"score.temperature={t}")[1] for t in (1, 3))
    assert (cold.temperature, hot.temperature) == (1.0, 3.0)
    assert hot.log_tail.mean() > cold.log_tail.mean()
