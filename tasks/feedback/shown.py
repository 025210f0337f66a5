"""The answers that annotators judged, each once; and what was said of them, as indices into them."""

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from transformers import PreTrainedTokenizerBase

from configs.schema_reward import RewardConfig
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.pairs import Pair, every_pair, every_tie
from tasks.feedback.rankings import Pick, every_fail_mark, every_pick
from tasks.ml.batching import Group, group_examples
from tasks.ml.preferences import FailMarks, Picks, Preferences, RewardTargets, Ties, no_indices
from tasks.ml.prompts import Example, encode_asked, encode_prompt, encode_written
from tasks.ml.rows import Row

Answers = Sequence[tuple[str, str]]  # question, text


def distinct_answers(
    events: Sequence[FeedbackEvent],
) -> tuple[list[tuple[str, str]], dict[tuple[str, str], bool]]:
    """Every answer once, as (question, text), in a stable order; and whether each ended by itself.

    Among them are those that an annotator wrote to correct another.
    """
    stops = {
        (event.row, answer.text): answer.stopped
        for event in events
        for answer in chain((shown for shown, _ in event.placed), event.answers)
    }
    return sorted(stops), stops


def encode_questions(
    tokenizer: PreTrainedTokenizerBase, events: Sequence[FeedbackEvent], rows: Mapping[str, Row]
) -> dict[str, tuple[int, ...]]:
    """The prompt of each question: of its row, or as it was shown where it is in no dataset of ours."""
    unknown = {event.row: event for event in events if event.row not in rows}
    known = {event.row for event in events} - unknown.keys()
    prompts = {row: encode_prompt(tokenizer, rows[row]) for row in known}
    return prompts | {
        row: encode_asked(tokenizer, event.prompt, event.task) for row, event in unknown.items()
    }


def encode_answers(
    tokenizer: PreTrainedTokenizerBase, events: Sequence[FeedbackEvent], rows: Mapping[str, Row]
) -> list[Example]:
    """All of `distinct_answers` below their prompts."""
    answers, stops = distinct_answers(events)
    prompts = encode_questions(tokenizer, events, rows)
    return [encode_written(tokenizer, prompts[row], text, stops[row, text]) for row, text in answers]


def group_answers(
    examples: Sequence[Example], answers: Answers, rows: Mapping[str, Row], longest: int
) -> list[Group]:
    """Answers as branches of their questions; questions about one context share it.

    The answers to one question are always in one group, so that no comparison is torn apart.

    Args:
        examples: The answers, encoded.
        answers: The same as (question, text).
        rows: The dataset, by id.
        longest: Most tokens of a group with more than one question.
    """
    # A question without a context shares nothing but the words that open every prompt.
    keys = [(rows[row].context if row in rows else "") or f"question {row}" for row, _ in answers]
    return group_examples(examples, keys, longest, units=[row for row, _ in answers])


def as_preferences(pairs: Sequence[Pair], answers: Answers) -> Preferences:
    """Pairs as indices into the answers."""
    place = {answer: index for index, answer in enumerate(answers)}
    return Preferences(
        torch.tensor([place[pair.row, pair.chosen] for pair in pairs], dtype=torch.long),
        torch.tensor([place[pair.row, pair.rejected] for pair in pairs], dtype=torch.long),
        torch.tensor([float(pair.votes) for pair in pairs]),
        torch.tensor([pair.marks for pair in pairs]),
    )


def as_targets(events: Sequence[FeedbackEvent], answers: Answers, config: RewardConfig) -> RewardTargets:
    """What the loss of a reward model reads of events, as indices into the answers.

    Every vote is in it, contradictions too. Those losses that are likelihoods need them: see
    `tasks.ml.reward_objective`.
    """
    place = {answer: index for index, answer in enumerate(answers)}
    numbers = {row: number for number, row in enumerate(dict.fromkeys(row for row, _ in answers))}
    ties = every_tie(events) if config.loss == "rao_kupper" else []
    fails = every_fail_mark(events) if config.floor_weight else []
    return RewardTargets(
        question=torch.tensor([numbers[row] for row, _ in answers], dtype=torch.long),
        preferences=as_preferences(every_pair(events), answers),
        ties=Ties(
            torch.tensor([place[tie.row, tie.first] for tie in ties], dtype=torch.long),
            torch.tensor([place[tie.row, tie.second] for tie in ties], dtype=torch.long),
            torch.tensor([float(tie.votes) for tie in ties]),
        ),
        picks=_as_picks(every_pick(events) if config.loss == "plackett_luce" else [], place),
        fails=FailMarks(
            torch.tensor([place[mark.row, mark.text] for mark in fails], dtype=torch.long),
            torch.tensor([mark.failed for mark in fails], dtype=torch.bool),
            torch.tensor([float(mark.votes) for mark in fails]),
        ),
    )


def _as_picks(picks: Sequence[Pick], place: Mapping[tuple[str, str], int]) -> Picks:
    if not picks:
        return Picks(no_indices().view(0, 2), no_indices(), torch.empty(0))
    left = [[place[pick.row, text] for text in (*pick.chosen, *pick.others)] for pick in picks]
    width = max(map(len, left))
    return Picks(
        torch.tensor([indices + [-1] * (width - len(indices)) for indices in left]),
        torch.tensor([len(pick.chosen) for pick in picks]),
        torch.tensor([float(pick.votes) for pick in picks]),
    )
