"""The answers that annotators saw, each once, and what they preferred as indices into them."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.pairs import Pair
from tasks.ml.preferences import Preferences
from tasks.ml.prompts import Example, encode_answer, encode_prompt
from tasks.ml.rows import Row

FEWEST_PAIRS = 8  # preferences; from fewer nothing is learnt that would hold for other questions


def distinct_answers(
    events: Sequence[FeedbackEvent],
) -> tuple[list[tuple[str, str]], dict[tuple[str, str], bool]]:
    """Every answer once, as (question, text), in a stable order; and whether each ended by itself."""
    stops = {(event.row, answer.text): answer.stopped for event in events for answer in event.answers}
    return sorted(stops), stops


def encode_shown(tokenizer: PreTrainedTokenizerBase, row: Row, text: str, did_stop: bool) -> Example:
    """An answer as its model wrote it: the stop token is there only if it came."""
    response = encode_answer(tokenizer, text)
    return Example(encode_prompt(tokenizer, row), response if did_stop else response[:-1] or response)


def as_preferences(pairs: Sequence[Pair], answers: Sequence[tuple[str, str]]) -> Preferences:
    """Pairs as indices into the answers."""
    place = {answer: index for index, answer in enumerate(answers)}
    return Preferences(
        torch.tensor([place[pair.row, pair.chosen] for pair in pairs], dtype=torch.long),
        torch.tensor([place[pair.row, pair.rejected] for pair in pairs], dtype=torch.long),
        torch.tensor([float(pair.votes) for pair in pairs]),
    )
