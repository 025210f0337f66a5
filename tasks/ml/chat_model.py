"""A chat model on this machine: what it replies, and how much it would rather reply A than B."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from tasks.ml.batching import group_examples, pack, plan_batches
from tasks.ml.decode import decode
from tasks.ml.models import hidden_states
from tasks.ml.progress import Bar
from tasks.ml.prompts import Example, decode_answer
from tasks.ml.sampling import Sampling

# Tokens of one pass, padding included, and of one packed row of it.
PASS_TOKENS = 2048
ROW_TOKENS = 1024
ROWS = 16  # replies decoded side by side; critiques are long, and each holds its prompt

Chats = Sequence[list[dict[str, str]]]


class ChatModel:
    """Replies greedily.

    Args:
        tokenizer: Its tokeniser, with a chat template.
        load: Gives the model, in the precision of inference; called when there is something to ask.
        max_new_tokens: Longest reply.
        bar: Shown progress, one step a conversation.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, load: Callable[[], Any], max_new_tokens: int, bar: Bar
    ) -> None:
        self._tokenizer, self._load, self._model, self._bar = tokenizer, load, None, bar
        self._sampling = Sampling(max_new_tokens, tokenizer.eos_token_id, tokenizer.pad_token_id, rows=ROWS)

    def reply(self, chats: Chats) -> list[str]:
        """The reply to each conversation."""
        prompts = [self._encode(chat) for chat in chats]
        responses = decode(self._loaded(), prompts, _openings(chats), self._sampling, self._bar)
        return [decode_answer(self._tokenizer, response) for response in responses]

    @torch.inference_mode()
    def log_odds(self, chats: Chats) -> list[float]:
        """Log-probability of A less that of B as the first token of each reply, in nats."""
        model = self._loaded()
        letters = [self._tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "AB"]
        groups = group_examples([Example(self._encode(chat)) for chat in chats], _openings(chats), ROW_TOKENS)
        odds = torch.zeros(len(chats))
        for part in plan_batches(groups, PASS_TOKENS, 0, 0):
            batch = pack(part, self._tokenizer.pad_token_id)
            logits = model.lm_head(hidden_states(model, batch)[batch.end])[:, letters].float()
            odds[batch.branch] = logits[:, 0] - logits[:, 1]
            self._bar.advance(len(batch.branch))
        return odds.tolist()

    def _encode(self, chat: list[dict[str, str]]) -> tuple[int, ...]:
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def _loaded(self) -> Any:
        if self._model is None:
            self._model = self._load()
        return self._model


def _openings(chats: Chats) -> list[str]:
    """What conversations about one question have in common, and are read once for: its text."""
    return [chat[1]["content"].partition("\n\n")[0] for chat in chats]
