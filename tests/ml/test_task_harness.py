"""lm-evaluation-harness for real on a small task of our own; and what is said when it cannot run."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from configs.schema_evaluate import HarnessConfig
from tasks.ml import harness
from tasks.ml.evaluation import Contestant
from tasks.ml.harness import HarnessError, check_harness, run_harness
from tasks.ml.models import tiny_random_model
from tasks.ml.teacher import byte_tokenizer

TASKS = Path(__file__).parent / "harness_tasks"
NONE = HarnessConfig(tasks=(), include_path=None, limit=None)
needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="the extra `harness` is not installed"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copied = shutil.copytree(TASKS, tmp_path / "tasks")
    page = (copied / "verdicts.yaml").read_text()
    (copied / "verdicts.yaml").write_text(page.replace("FOLDER", str(copied)))
    return copied


def named(folder: Path, *names: str, limit: int | None = None) -> HarnessConfig:
    return HarnessConfig(tasks=names, include_path=str(folder), limit=limit)


def by_hand(model, tokenizer, lines) -> list[float]:
    """Whether the right word is the likelier one after each text, by a plain forward pass."""
    found = []
    for line in lines:
        text = tokenizer.encode(f"{line['facts']}\n{line['question']}\nAnswer:", add_special_tokens=False)
        sums = []
        for word in ("yes", "no"):
            answer = tokenizer.encode(f" {word}", add_special_tokens=False)
            with torch.no_grad():
                table = model(torch.tensor([[*text, *answer]])).logits[0].log_softmax(-1)
            places = range(len(text) - 1, len(text) + len(answer) - 1)
            sums.append(sum(table[place, token].item() for place, token in zip(places, answer, strict=True)))
        found.append(float((sums[0] > sums[1]) == (line["right"] == 0)))
    return found


@needs_harness
@pytest.mark.filterwarnings("ignore")  # the library's own
@pytest.mark.timeout(120)
def test_accuracy_is_that_of_a_plain_forward_pass(folder: Path) -> None:
    tokenizer = byte_tokenizer()
    contestants = {}
    for seed, name in enumerate(("distilled", "aligned")):
        model = tiny_random_model(tokenizer, seed).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
        contestants[name] = Contestant(name, model, tokenizer)
    config = named(folder, "retort_verdicts")
    check_harness(config)
    found = list(run_harness(contestants, config, 0))
    lines = [json.loads(line) for line in (TASKS / "verdicts.jsonl").read_text().splitlines()]
    assert [(one.metric, one.model) for one in found] == [
        ("harness/retort_verdicts/acc", "distilled"),
        ("harness/retort_verdicts/acc", "aligned"),
    ]
    for one in found:
        right = by_hand(contestants[one.model].model, tokenizer, lines)
        assert one.interval.value == pytest.approx(sum(right) / 6)
        assert one.interval.n == 6
        share = sum(right) / 6
        error = (share * (1 - share) / 5) ** 0.5
        assert one.interval.high - share == pytest.approx(1.96 * error, abs=1e-3)
    (short,) = run_harness({"aligned": contestants["aligned"]}, named(folder, "retort_verdicts", limit=2), 0)
    assert short.interval.n == 2
    assert short.interval.value == pytest.approx(
        sum(by_hand(contestants["aligned"].model, tokenizer, lines[:2])) / 2
    )


@needs_harness
@pytest.mark.filterwarnings("ignore")
def test_unknown_tasks_are_named_beside_those_that_there_are(folder: Path) -> None:
    with pytest.raises(HarnessError) as caught:
        check_harness(named(folder, "retort_verdicts", "hellaswag", "nothing"))
    words = str(caught.value)
    assert "got hellaswag, nothing" in words
    assert f"expected tasks in {folder}: retort_verdicts" in words


def test_without_the_extra_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HarnessError, match=r"pip install \"retort\[harness\]\""):
        check_harness(named(folder, "retort_verdicts"))


def test_without_tasks_nothing_is_asked_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    check_harness(NONE)
    assert list(run_harness({}, NONE, 0)) == []


def test_tasks_need_a_folder() -> None:
    with pytest.raises(ValidationError, match="include_path"):
        HarnessConfig(tasks=("arc_easy",), include_path=None, limit=None)
