"""The work that both reward trainers are given: answers to real questions, ranked by simulated annotators.

The trunk is `large` of `benchmarks.distill_workload`: the first ten layers of the default teacher, 64 M
parameters. Questions come in two forms: `sheets`, seven about the same facts with four answers each, as the
default run asks for feedback; `single`, one question a sheet with two answers, so that a pair shares nothing
but its own prompt.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.distill_workload import FOLDER, FOODS, PLAN, SEED, TEACHER
from configs.load import load_run_config
from configs.schema import FeedbackConfig
from configs.schema_reward import RewardConfig
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.pairs import majority_pairs
from tasks.feedback.shown import as_preferences, distinct_answers, encode_answers, group_answers
from tasks.feedback.simulate import annotate
from tasks.ml.batching import Group, plan_epochs
from tasks.ml.cleaning import split_of
from tasks.ml.facts import load_foods
from tasks.ml.preferences import Preferences, RewardTargets, groups_with
from tasks.ml.prompts import Example
from tasks.ml.questions import Sheet, Style, make_rows, make_sheets
from tasks.ml.rows import Row, Split
from tasks.ml.seeding import random_for
from tasks.ml.teacher import load_teacher_tokenizer

FORMS = tuple(PLAN)
ANSWERS = {"sheets": 4, "single": 2}
FROZEN = 5  # of ten layers, the share that the default run freezes
TURNED = str.maketrans("0123456789", "3456789012")


@dataclass(frozen=True)
class Work:
    """Encoded answers and who was preferred, each pair once.

    Attributes:
        examples: Prompts and answers in the teacher's ids.
        questions: The question of each answer.
        groups: Answers below their questions.
        pairs: The preferences.
    """

    examples: list[Example]
    questions: list[str]
    groups: list[Group]
    pairs: Preferences

    @property
    def targets(self) -> RewardTargets:
        """The same as the trainer takes it."""
        numbers = {name: number for number, name in enumerate(dict.fromkeys(self.questions))}
        return RewardTargets(torch.tensor([numbers[name] for name in self.questions]), self.pairs)


def settings(precision: Any) -> RewardConfig:
    """The section `reward`: the loss that TRL has, one head, the rates of the default run."""
    changes = {"loss": "bradley_terry", "floor_weight": 0.0, "ensemble": 1, "epochs": 1}
    changes |= {"frozen_layers": FROZEN, "precision": precision, "checkpoint_seconds": 1e9}
    return load_run_config(None, []).reward.model_copy(update=changes)


def judged_answers(tokenizer: Any, form: str, sheets: int, split: Split) -> Work:
    """Answers to the questions of so many sheets, about foods of one split of the default case."""
    config = load_run_config(None, []).feedback
    rows: dict[str, Row] = {}
    events: list[FeedbackEvent] = []
    for sheet in _sheets(form, sheets, split):
        for row, texts in _answered(sheet, form, split):
            rows[row.id] = row
            events += _ranked(row, texts, form, config)
    answers, _ = distinct_answers(events)
    examples = encode_answers(tokenizer, events, rows)
    pairs = as_preferences(majority_pairs(events), answers)
    once = Preferences(pairs.chosen, pairs.rejected, torch.ones(len(pairs)))
    groups = group_answers(examples, answers, rows, settings("fp32").row_tokens)
    return Work(examples, [row for row, _ in answers], groups_with(groups, once.chosen), once)


def _sheets(form: str, count: int, split: Split) -> Iterator[Sheet]:
    """Sheets of which every question of the plan can be asked."""
    foods = [food for food in load_foods(FOODS) if split_of(food.name, 0.05, 0.15) == split]
    found = 0
    for sheet in make_sheets(foods, 3 * count, 1, 6, "reward benchmark", SEED):
        if found < count and len(make_rows(sheet, split, PLAN[form], Style(0, 1), SEED)) == len(PLAN[form]):
            found += 1
            yield sheet


def _answered(sheet: Sheet, form: str, split: Split) -> Iterator[tuple[Row, list[str]]]:
    """Each question with the right answer, a wordy one, a wrong one, and one to another question."""
    plain, wordy = (make_rows(sheet, split, PLAN[form], Style(share, 1), SEED) for share in (0, 1))
    for place, row in enumerate(plain):
        right = row.answer or ""
        wrong = _turned(right)
        other = plain[place - 1].answer if len(plain) > 1 else "I like to cook with it on most days."
        yield row, [right, wordy[place].answer or "", wrong, other or ""]


def _turned(answer: str) -> str:
    """The same words with other digits, and the opposite verdict."""
    swapped = {"yes": "no", "Yes": "No", "no": "yes", "No": "Yes"}
    return re.sub(r"\b([Yy]es|[Nn]o)\b", lambda word: swapped[word[0]], answer.translate(TURNED))


def _ranked(row: Row, texts: Sequence[str], form: str, config: FeedbackConfig) -> list[FeedbackEvent]:
    distinct = list(dict.fromkeys(texts))
    count = min(ANSWERS[form], len(distinct))
    chosen = random_for("shown", SEED, row.id).sample(distinct, count)
    return annotate(row, [Shown(text=text, model="benchmark", stopped=True) for text in chosen], config, SEED)


def steps_of(work: Work) -> list[list[Group]]:
    """The groups of every optimiser step, as `train_reward` plans them."""
    config = settings("fp32")
    return plan_epochs([groups_with(work.groups, work.targets.answers)], config.token_budget, SEED)


def pairs_of_steps(work: Work) -> list[list[tuple[int, int]]]:
    """The pairs (chosen, rejected) of every optimiser step."""
    steps = []
    for groups in steps_of(work):
        present = torch.zeros(len(work.examples), dtype=torch.bool)
        present[[branch.index for group in groups for branch in group.branches]] = True
        pairs = work.pairs.within(present)
        steps.append(list(zip(pairs.chosen.tolist(), pairs.rejected.tolist(), strict=True)))
    return steps


def useful_flops(work: Work, body: int, trained: int) -> float:
    """Operations that training cannot do without: shared prompts once, real tokens only.

    Two per parameter and token forward, four more backward where layers are trained.
    """
    return sum(len(group) for group in work.groups) * (2.0 * body + 4.0 * trained)


def tokenizer_of_teacher() -> Any:
    """The teacher's tokeniser."""
    return load_teacher_tokenizer(TEACHER, "main", FOLDER.parent / "teacher")
