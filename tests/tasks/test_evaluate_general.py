"""How stage `evaluate` measures what specialising did to general ability."""

import math
from pathlib import Path

import pytest
import torch

from configs.load import load_run_config
from tasks.ml.closing import MODELS, closing_rows
from tasks.ml.evaluation import Contestant
from tasks.ml.exam import general_figures
from tasks.ml.examination import worked_examples
from tasks.ml.models import tiny_random_model
from tasks.ml.prompts import encode_answer, encode_prompt
from tasks.ml.rows import ReferenceCheck, Row
from tasks.ml.teacher import byte_tokenizer

CONFIG = load_run_config(Path(__file__).parents[2] / "configs" / "smoke.yaml", []).evaluate
SEEDS = {"unrefined": 0, "teacher_zero_shot": 1, "distilled": 2, "aligned": 3}


def general(question: str, answer: str, context: str = "") -> Row:
    return Row(
        id=question,
        task="general",
        groups=(question,),
        split="valid",
        context=context,
        question=question,
        answer=answer,
        plain_words=1,
        medical=False,
        check=ReferenceCheck(text=answer),
    )


ROWS = [general("Sum it up.", "Short.", "A long text."), general("Greet.", "Hello there, \u00e9!")]


def nats(model, tokenizer, row: Row) -> float:
    prompt, response = encode_prompt(tokenizer, row), encode_answer(tokenizer, row.answer)
    with torch.no_grad():
        shares = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0].softmax(-1)
    places = shares[len(prompt) - 1 : -1]
    return -sum(math.log(share[token]) for share, token in zip(places, response, strict=True))


def test_levels_and_rises_are_those_of_each_model_alone() -> None:
    tokenizer = byte_tokenizer()
    models = {name: tiny_random_model(tokenizer, seed).eval() for name, seed in SEEDS.items()}
    with torch.no_grad():
        for model in models.values():
            for parameter in model.parameters():
                parameter.mul_(4.0 if parameter.ndim > 1 else 1.0)
    contestants = [Contestant(name, model, tokenizer) for name, model in models.items()]
    contestants.append(Contestant("teacher_few_shot", models["teacher_zero_shot"], tokenizer, (ROWS[0],)))
    (sample,), found = general_figures(contestants, ROWS, CONFIG, 0)
    figures = {(f["metric"], f["model"]): f for f in found}
    size = len(b"Short.") + len(b"Hello there, xx!")
    level = {name: sum(nats(model, tokenizer, row) for row in ROWS) / size for name, model in models.items()}
    assert len(figures) == 4 + 2 * 2
    for name in SEEDS:
        assert figures["general_nll_per_byte", name]["value"] == pytest.approx(level[name], rel=1e-5)
    for name in ("distilled", "aligned"):
        over_teacher = level[name] - level["teacher_zero_shot"]
        since_cut = level[name] - level["unrefined"]
        assert figures["forgetting", name]["value"] == pytest.approx(over_teacher, abs=1e-5)
        assert figures["forgetting_since_cut", name]["value"] == pytest.approx(since_cut, abs=1e-5)
    # What is compared is the same, in nats a byte: each answer's, weighed by its bytes.
    assert sample.contexts.tolist() == [0, 1]
    (column,) = sample.columns
    assert "teacher_few_shot" not in column.values
    own = nats(models["aligned"], tokenizer, ROWS[0]) / len(b"Short.")
    assert column.values["aligned"][0] == pytest.approx(own, rel=1e-5)
    assert column.weights.tolist() == [6, 16]
    lines = {row["label"]: row["cells"] for row in closing_rows(list(figures.values()))}
    assert [bool(cell) for cell in lines["forgetting, nats a byte"]] == [
        model in ("distilled", "aligned") for model in MODELS
    ]


def test_without_general_rows_nothing_is_measured() -> None:
    assert general_figures([], [], CONFIG, 0) == ([], [])


def test_the_one_example_is_the_first_of_the_few() -> None:
    rows = [general(f"q{n}", "a").model_copy(update={"task": task}) for n, task in enumerate("aabc")]
    few = worked_examples(rows, 3)
    assert [row.question for row in few] == ["q0", "q2", "q3"]
    assert worked_examples(rows, 1) == few[:1]
