"""Questions with typos and in other words keep what decides them."""

import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from configs.load import load_run_config
from tasks.clean import questions_from_facts
from tasks.ml.facts import load_foods
from tasks.ml.perturbations import in_other_words, with_typos

ROOT = Path(__file__).parents[2]


def test_typos_hit_letters_of_the_question_alone(make_row) -> None:
    row = make_row(question="How much energy is in 200 g of Butter, 3.5 percent?")
    for seed in range(50):
        typed = with_typos(row, 0.1, seed)
        assert typed.question != row.question
        assert re.sub(r"[^\d.,?]", "", typed.question) == "200,3.5?"
        # 4 of its 33 letters.
        same = sum(
            block.size for block in SequenceMatcher(None, row.question, typed.question).get_matching_blocks()
        )
        assert len(row.question) - 8 <= same <= len(row.question)
        assert (typed.context, typed.answer, typed.check) == (row.context, row.answer, row.check)
    assert with_typos(row, 0.1, 1) == with_typos(row, 0.1, 1)
    assert with_typos(row, 0.1, 1).question != with_typos(row, 0.1, 2).question


@pytest.mark.parametrize("question", ["Why?", "a", "1 + 1 = ?"])
def test_short_questions_get_at_most_one_typo(make_row, question: str) -> None:
    typed = with_typos(make_row(question=question), 0.01, 3).question
    assert abs(len(typed) - len(question)) <= 1
    assert (typed == question) is not any(mark.isalpha() for mark in question) or question == "a"


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("How much fat is in Butter?", "What amount of fat does Butter contain?"),
        ("Oats, dry: how much iron?", "What amount of iron does Oats, dry contain?"),
        ("Which is higher in fat?", "Compare the two: which contains more fat?"),
        ("Is Butter a good source of iron?", "Would you call Butter a good source of iron?"),
        ("I have diabetes. Can I eat Butter?", "May someone with diabetes have Butter?"),
        ("How much energy is in 200 g of Butter?", "I eat 200 g of Butter. How much energy is that?"),
    ],
)
def test_known_questions_have_other_words(make_row, question: str, other: str) -> None:
    assert in_other_words(make_row(question=question), 7).question == other


def test_every_question_of_the_default_case_but_the_open_ones_is_reworded_and_keeps_its_foods() -> None:
    config = load_run_config(ROOT / "configs" / "smoke.yaml", []).data
    rows = questions_from_facts(load_foods(ROOT / config.source), config, 7)
    for row in rows:
        other = in_other_words(row, 7).question
        assert other != row.question
        if row.task != "open":
            assert row.question not in other, row.question
        assert all(food in other for food in row.groups if food in row.question)


def test_other_questions_are_introduced_otherwise(make_row) -> None:
    other = in_other_words(make_row(question="Why is the sky blue?"), 7).question
    assert other.endswith("Why is the sky blue?")
    assert other != "Why is the sky blue?"
