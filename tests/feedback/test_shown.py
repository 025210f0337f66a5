"""Answers as annotators saw them: encoded, grouped and as indices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.load import load_run_config
from configs.schema_reward import RewardConfig
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.pairs import Pair
from tasks.feedback.shown import (
    as_preferences,
    as_targets,
    distinct_answers,
    encode_answers,
    group_answers,
)
from tasks.ml.prompts import SYSTEM, decode_answer, encode_prompt
from tasks.ml.rows import GENERAL, Row, VerdictCheck
from tasks.ml.teacher import byte_tokenizer

Event = Callable[..., FeedbackEvent]


@pytest.fixture(scope="module")
def reward() -> RewardConfig:
    return load_run_config(Path(__file__).parents[2] / "configs" / "smoke.yaml", []).reward


def row(name: str, context: str = "") -> Row:
    return Row(
        id=name,
        task="lookup",
        groups=(),
        split="train",
        context=context,
        question=f"Is it rich, {name}?",
        answer="No.",
        plain_words=1,
        medical=False,
        check=VerdictCheck(yes=False),
    )


def answers(*texts: str, stopped: bool = True) -> list[dict[str, Any]]:
    return [{"text": text, "model": "m", "stopped": stopped} for text in texts]


def test_an_imported_question_is_read_as_it_was_shown(an_event: Event) -> None:
    # The stages looked every question up in the dataset, and feedback from elsewhere ended in a KeyError.
    tokenizer = byte_tokenizer()
    events = [
        an_event("1", row="known", prompt="not looked at"),
        an_event(
            "2", row="far", prompt="Facts.\nWhy so?", task="open", answers=answers("x", "y", stopped=False)
        ),
        an_event("3", row="free", prompt="Say hello.", task=GENERAL),
    ]
    rows = {"known": row("known")}
    found, _ = distinct_answers(events)
    examples = dict(zip(found, encode_answers(tokenizer, events, rows), strict=True))
    assert examples["known", "answer A"].prompt == encode_prompt(tokenizer, rows["known"])
    system = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    asked = "<|im_start|>user\nFacts.\nWhy so?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(list(examples["far", "x"].prompt)) == system + asked
    assert SYSTEM not in tokenizer.decode(list(examples["free", "answer A"].prompt))
    # The stop token is there only if it came.
    assert decode_answer(tokenizer, examples["far", "x"].response) == "x"
    assert tokenizer.eos_token_id not in examples["far", "x"].response
    assert examples["free", "answer A"].response[-1] == tokenizer.eos_token_id


def test_a_correction_is_one_of_the_answers(an_event: Event, reward: RewardConfig) -> None:
    # It was no answer that had been shown, so the pair that it makes named an answer that was not there.
    event = an_event("1", judgement={"kind": "correction", "corrected": 0, "text": "Yes, 717 kcal."})
    found, stops = distinct_answers([event])
    assert found == [("row-1", "Yes, 717 kcal."), ("row-1", "answer A"), ("row-1", "answer B")]
    assert stops["row-1", "Yes, 717 kcal."]
    pairs = as_targets([event], found, reward).preferences
    assert (pairs.chosen.tolist(), pairs.rejected.tolist()) == ([0], [1])


def test_answers_to_one_question_share_a_group_however_long(an_event: Event) -> None:
    long = answers("a" * 60, "b" * 60, "c" * 60)
    ranks = {"kind": "ranking", "ranks": (1, 2, 3)}
    events = [an_event(name, row=name, prompt=f"Q {name}", answers=long, judgement=ranks) for name in "pqr"]
    rows = {"q": row("q", "Butter: 5 kcal"), "r": row("r", "Butter: 5 kcal")}
    found, _ = distinct_answers(events)
    examples = encode_answers(byte_tokenizer(), events, rows)
    for longest in (1, 300, 100_000):
        groups = group_answers(examples, found, rows, longest)
        members = [{found[branch.index][0] for branch in group.branches} for group in groups]
        assert sorted(map(sorted, members)) == (
            [["p"], ["q", "r"]] if longest > 300 else [["p"], ["q"], ["r"]]
        )
        assert sum(len(group.branches) for group in groups) == 9
    # The prompt of a question that is alone is read once.
    alone = next(group for group in groups if len(group.branches) == 3)
    assert len(alone.prefix) == len(examples[0].prompt) - 1


def test_what_was_said_becomes_indices(an_event: Event, reward: RewardConfig) -> None:
    four = answers("d", "c", "b", "a")
    events = [
        an_event("1", answers=four, judgement={"kind": "ranking", "ranks": (1, 2, 2, None)}),
        an_event(
            "2", answers=four, annotator="bert", judgement={"kind": "ranking", "ranks": (2, 1, 1, None)}
        ),
        an_event("3", row="s", answers=answers("f", "e"), judgement={"kind": "ratings", "ratings": (5, 2)}),
    ]
    found, _ = distinct_answers(events)
    assert [text for _, text in found] == ["a", "b", "c", "d", "e", "f"]
    section = reward.model_copy(update={"loss": "rao_kupper", "floor_weight": 1.0})
    targets = as_targets(events, found, section)
    assert targets.question.tolist() == [0, 0, 0, 0, 1, 1]
    pairs = targets.preferences
    assert pairs.marks is not None
    said = zip(
        pairs.chosen.tolist(),
        pairs.rejected.tolist(),
        pairs.votes.tolist(),
        pairs.marks.tolist(),
        strict=True,
    )
    assert sorted(said) == [
        (1, 0, 2.0, 0.0),
        (1, 3, 1.0, 0.0),
        (2, 0, 2.0, 0.0),
        (2, 3, 1.0, 0.0),
        (3, 0, 2.0, 0.0),
        (3, 1, 1.0, 0.0),
        (3, 2, 1.0, 0.0),
        (5, 4, 1.0, 3.0),
    ]
    ties = targets.ties
    assert (ties.first.tolist(), ties.second.tolist(), ties.votes.tolist()) == ([1], [2], [2.0])
    fails = dict(zip(targets.fails.answer.tolist(), targets.fails.failed.tolist(), strict=True))
    assert fails == {0: True, 1: False, 2: False, 3: False}
    assert targets.fails.votes.tolist() == [2.0] * 4
    assert len(targets.picks) == 0


def test_a_loss_gets_what_it_reads(an_event: Event, reward: RewardConfig) -> None:
    event = an_event(
        "1", answers=answers("a", "b", "c"), judgement={"kind": "ranking", "ranks": (1, 1, None)}
    )
    found, _ = distinct_answers([event])

    def sizes(**changes: Any) -> tuple[int, int, int, int]:
        targets = as_targets([event], found, reward.model_copy(update=changes))
        return len(targets.preferences), len(targets.ties), len(targets.picks), len(targets.fails)

    assert sizes(loss="bradley_terry", floor_weight=0) == (2, 0, 0, 0)
    assert sizes(loss="rao_kupper", floor_weight=1) == (2, 1, 0, 3)
    assert sizes(loss="plackett_luce", floor_weight=0) == (2, 0, 1, 0)
    picks = as_targets([event], found, reward.model_copy(update={"loss": "plackett_luce"})).picks
    assert (picks.answers.tolist(), picks.sizes.tolist(), picks.votes.tolist()) == ([[0, 1, 2]], [2], [1.0])


def test_pairs_keep_their_votes(an_event: Event) -> None:
    pairs = as_preferences([Pair("q", "b", "a", votes=3)], [("q", "a"), ("q", "b")])
    assert (pairs.chosen.tolist(), pairs.rejected.tolist(), pairs.votes.tolist()) == ([1], [0], [3.0])
