"""A language model that compares two models: wins in both orders, ties, flips, and what cannot be read."""

from pathlib import Path

import numpy as np
import pytest

from configs.principles import read_principles
from tasks.feedback.ai_judge import Weighed, judge_in_words
from tasks.feedback.win_judge import judge_wins, win_of
from tasks.ml.evaluation import Answers
from tasks.ml.rows import Row, VerdictCheck
from tasks.ml.rubric import Judgement

PRINCIPLES = read_principles(Path(__file__).parents[2] / "configs" / "data" / "principles.yaml")


def row(number: int) -> Row:
    return Row(
        id=f"q{number}",
        task="lookup",
        groups=(),
        split="test",
        context="",
        question=f"Is it rich, {number}?",
        answer="No.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=False),
    )


def answers(*texts: str) -> Answers:
    fine = Judgement(True, True, 1.0, True, False)
    return Answers(list(texts), [(1,)] * len(texts), [fine] * len(texts), np.ones(len(texts)))


@pytest.mark.parametrize(
    ("in_order", "swapped", "win"),
    [
        (2.0, 1.0, 1.0),
        (-2.0, -1.0, 0.0),
        # The first place is favoured whoever stands there: a tie, however strong the mean.
        (5.0, -1.0, 0.5),
        (-1.0, 5.0, 0.5),
        # Within the band.
        (0.2, 0.1, 0.5),
        (0.0, 0.0, 0.5),
    ],
)
def test_a_win_must_hold_in_both_orders(in_order: float, swapped: float, win: float) -> None:
    assert win_of(Weighed(in_order, swapped), 0.5) == win


def test_what_cannot_be_read_is_no_verdict() -> None:
    assert np.isnan(win_of(Weighed(1.0, None), 0.5))


def test_each_model_is_held_against_the_baseline() -> None:
    asked: list[str] = []

    def reply(chats):
        """Prefers the answer that says `good`; of two others the one shown first; `odd` confuses it."""
        replies = []
        for chat in chats:
            text = chat[1]["content"]
            asked.append(text)
            first = text.partition("Answer A: ")[2].partition("\n")[0]
            second = text.partition("Answer B: ")[2].partition("\n")[0]
            if "odd" in (first, second):
                replies.append("I like both of them a lot.")
            else:
                replies.append("B" if second == "good" != first else "A")
        return replies

    models = {
        "aligned": answers("good", "bad", "worse", "odd"),
        "distilled": answers("bad", "good", "bad", "bad"),
        "unrefined": answers("worse", "good", "worse", "bad"),
    }
    judged = judge_wins(
        judge_in_words("ai-test", reply), [row(n) for n in range(4)], models, "distilled", PRINCIPLES
    )
    wins = {name: own.tolist() for name, own in judged.wins.items()}
    assert wins["aligned"][:3] == [1.0, 0.0, 0.5]
    assert np.isnan(wins["aligned"][3])
    # Equal answers are asked about once and sway nobody but the place.
    assert wins["unrefined"] == [0.5, 0.5, 0.5, 0.5]
    assert {name: own.tolist() for name, own in judged.flips.items()} == {
        "aligned": [0, 0, 1, 0],
        "unrefined": [1, 1, 1, 1],
    }
    assert judged.readable.tolist() == [1, 1, 1, 0]
    column = judged.column("distilled", questions=6)
    assert column.weights.tolist() == [1, 1, 1, 0, 0, 0]
    assert column.difference("aligned", "distilled")[:3].tolist() == [0.5, -0.5, 0.0]
    assert column.difference("distilled", "unrefined")[:3].tolist() == [0, 0, 0]
    assert column.compares("distilled", "unrefined")
    assert not column.compares("aligned", "unrefined")
    assert all("Facts" not in text or "Is it rich" in text for text in asked)
