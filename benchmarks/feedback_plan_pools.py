"""Answers whose true worth is known, to learn from and to be tested on, with features that a head reads."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.load import load_run_config
from tasks.clean import questions_from_facts
from tasks.feedback.events import load_events
from tasks.ml.batching import group_examples, pack, plan_batches
from tasks.ml.facts import load_foods
from tasks.ml.models import hidden_states, load_model, load_tokenizer
from tasks.ml.prompts import Example, encode_answer, encode_prompt
from tasks.ml.questions import CLINICIAN, COURTESIES
from tasks.ml.rows import Row, load_rows
from tasks.ml.rubric import judge
from tasks.ml.seeding import stable_hash

Array = NDArray[np.float64]

ANSWERS = 4
HASHED = 256
SHEETS = ["data.single_sheets.train=300", "data.pair_sheets.train=120"]


@dataclass(frozen=True)
class Answers:
    """M answers.

    Attributes:
        hidden: What a reward head reads of each. Shape [M, H].
        utility: Its true worth. Shape [M].
        words: Its length. Shape [M].
        questions: The question of each.
        tasks: Its family.
        noise: Standard deviation of what an annotator sees of the worth of an answer.
        tie_gap: Perceived worths closer than this tie.
        taste: Standard deviation of an annotator's worth of ten words more.
    """

    hidden: Array
    utility: Array
    words: Array
    questions: list[str]
    tasks: list[str]
    noise: float
    tie_gap: float
    taste: float


def latent(seed: int, questions: int = 550) -> Answers:
    """Features by six families of unequal size; worth is linear in them with a curved part on top."""
    draw = np.random.default_rng(seed)
    width = 32
    family = draw.choice(6, size=questions, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    spread = np.exp(draw.normal(0, 0.6, size=(6, width)))
    place = draw.normal(size=(6, width))[family] / 2 + draw.normal(size=(questions, width)) / 2
    own = draw.normal(size=(questions, ANSWERS, width)) * spread[family][:, None]
    hidden = place[:, None] + own
    curve, bent = draw.normal(size=(width, 16)) / np.sqrt(width), draw.normal(size=16) / 4
    worth = hidden @ (draw.normal(size=width) / np.sqrt(width)) + 0.7 * np.tanh(2 * hidden @ curve) @ bent
    worth /= (worth - worth.mean(1, keepdims=True)).std()
    names = [f"q{number}" for number in range(questions) for _ in range(ANSWERS)]
    return Answers(
        hidden.reshape(-1, width),
        worth.reshape(-1),
        np.zeros(len(names)),
        names,
        [f"family {number}" for number in family for _ in range(ANSWERS)],
        noise=0.5,
        tie_gap=0.25,
        taste=0.0,
    )


def facts(seed: int, questions: int = 500) -> Answers:
    """Gold answers to questions of the fact table, mended and spoilt at random; the rubric says their worth.

    A head reads hashed words and word pairs, and whether the numbers stand in the facts.
    """
    draw = random.Random(seed)
    rows = draw.sample(questions_asked(), questions)
    asked = [row for row in rows for _ in range(ANSWERS)]
    written = [vary(row, draw) for row in asked]
    return Answers(
        np.array([hashed(row, text) for row, (text, _) in zip(asked, written, strict=True)]),
        *_worth(asked, written),
        noise=0.08,
        tie_gap=0.04,
        taste=0.05,
    )


@cache
def questions_asked() -> list[Row]:
    """Questions of the fact table with a gold answer."""
    config = load_run_config(None, SHEETS).data
    every = questions_from_facts(load_foods(Path(config.source)), config, 7)
    return [row for row in every if row.split == "train" and row.answer]


def student(run: Path) -> Answers:
    """Answers that annotators saw in a finished run, as the frozen distilled student reads them."""
    folders = {
        name: next((run / "store" / "artifacts" / name).iterdir())
        for name in ("clean", "distill", "feedback")
    }
    rows = {row.id: row for row in load_rows(folders["clean"] / "rows.jsonl")}
    events = load_events(folders["feedback"] / "events.jsonl")
    seen = sorted({(event.row, shown.text, shown.stopped) for event in events for shown in event.answers})
    asked = [rows[row] for row, _, _ in seen]
    written = [(text, stopped) for _, text, stopped in seen]
    hidden = last_hidden(folders["distill"] / "model", asked, written)
    return Answers(hidden, *_worth(asked, written), noise=0.08, tie_gap=0.04, taste=0.05)


def last_hidden(folder: Path, asked: Sequence[Row], written: Sequence[tuple[str, bool]]) -> Array:
    """Hidden state at the end of each answer. Shape [M, H]."""
    import torch

    tokenizer, model = load_tokenizer(folder), load_model(folder).eval()
    examples = []
    for row, (text, stopped) in zip(asked, written, strict=True):
        response = encode_answer(tokenizer, text)
        examples.append(Example(encode_prompt(tokenizer, row), response if stopped else response[:-1]))
    groups = group_examples(examples, [row.context for row in asked], 768)
    hidden = torch.zeros(len(examples), model.config.hidden_size)
    with torch.inference_mode():
        for part in plan_batches(groups, 2048, 0, 0):
            batch = pack(part, tokenizer.pad_token_id)
            hidden[batch.branch] = hidden_states(model, batch)[batch.end]
    return hidden.double().numpy()


def _worth(
    asked: Sequence[Row], written: Sequence[tuple[str, bool]]
) -> tuple[Array, Array, list[str], list[str]]:
    """Utility, words, question and family of each answer."""
    pairs = list(zip(asked, written, strict=True))
    return (
        np.array([judge(row, text, stopped).utility for row, (text, stopped) in pairs]),
        np.array([float(len(text.split())) for _, (text, _) in pairs]),
        [row.id for row in asked],
        [row.task for row in asked],
    )


def vary(row: Row, draw: random.Random) -> tuple[str, bool]:
    """A gold answer with some of: a wrong number or verdict, a courtesy, a clinician, an early end."""
    text = (row.answer or "").replace(f" {CLINICIAN}", "")
    for courtesy in COURTESIES:
        text = text.replace(courtesy, "")
    if draw.random() < 0.35:
        text = spoil(text, draw)
    if draw.random() < 0.3:
        text += f" {CLINICIAN}"
    if draw.random() < 0.4:
        text += draw.choice(COURTESIES)
    if draw.random() < 0.12:
        return " ".join(text.split()[: draw.randrange(2, 9)]), False
    return text, True


def spoil(text: str, draw: random.Random) -> str:
    """Another number, or the opposite of the verdict."""
    if draw.random() < 0.5:
        factor, more = draw.choice((2, 3)), draw.randrange(1, 9)
        return re.sub(r"\d+", lambda found: str(factor * int(found[0]) + more), text, count=1)
    turned = {"yes": "no", "no": "yes", "more": "less", "less": "more"}
    return re.sub(r"\b(?:yes|no|more|less)\b", lambda found: turned[found[0]], text)


def hashed(row: Row, text: str) -> Array:
    """Signed hashed counts of words and word pairs, and the length; a number is in the facts or it is not."""
    known = set(re.findall(r"[\d.]+", row.context))
    words = [
        ("#in" if word in known else "#out") if word[0].isdigit() else word
        for word in re.findall(r"[\d.]*\d|\w+|[^\w\s]", text.lower())
    ]
    vector = np.zeros(HASHED + 1)
    for item in [
        *words,
        *map(" ".join, zip(words, words[1:], strict=False)),
        *(f"{row.task} {w}" for w in words),
    ]:
        number = stable_hash(item)
        vector[number % HASHED] += 1 if number >> 20 & 1 else -1
    vector[HASHED] = len(words) / 5
    return vector
