r"""From a row to token ids: the chat form that teacher and student share.

    <|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{context}\n{question}<|im_end|>\n
    <|im_start|>assistant\n{answer}<|im_end|>
    |------------------------- prompt ------------------------------|------ response ------|

The context stands before the question, so that all questions about one sheet share a prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tasks.ml.rows import GENERAL, Row

SYSTEM = "Answer the question from the facts in one short sentence."


@dataclass(frozen=True)
class Example:
    """Token ids of one question and, where there is one, its answer with the stop token."""

    prompt: tuple[int, ...]
    response: tuple[int, ...] = ()


def chat(row: Row, shots: Sequence[Row] = ()) -> list[dict[str, str]]:
    """The messages of a row, after worked examples for few-shot prompting.

    A general instruction comes without the system message, which speaks of the use case.
    """
    messages = _opening(row.task)
    for shot in shots:
        messages.append({"role": "user", "content": user_text(shot)})
        messages.append({"role": "assistant", "content": shot.answer or ""})
    return [*messages, {"role": "user", "content": user_text(row)}]


def _opening(task: str) -> list[dict[str, str]]:
    return [] if task == GENERAL else [{"role": "system", "content": SYSTEM}]


def user_text(row: Row) -> str:
    """What the user says: the facts, then the question."""
    return f"{row.context}\n{row.question}" if row.context else row.question


def encode_prompt(tokenizer: PreTrainedTokenizerBase, row: Row, shots: Sequence[Row] = ()) -> tuple[int, ...]:
    """Token ids up to and including the assistant's header."""
    return _encode_messages(tokenizer, chat(row, shots))


def encode_asked(tokenizer: PreTrainedTokenizerBase, asked: str, task: str) -> tuple[int, ...]:
    """Token ids of a question that is no row, up to and including the assistant's header.

    Args:
        tokenizer: The tokeniser.
        asked: What the user says: a context, if there is one, and the question.
        task: The family of the question; empty if it has none.
    """
    return _encode_messages(tokenizer, [*_opening(task), {"role": "user", "content": asked}])


def _encode_messages(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]]
) -> tuple[int, ...]:
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def encode_answer(tokenizer: PreTrainedTokenizerBase, answer: str) -> tuple[int, ...]:
    """Token ids of an answer with the stop token at its end."""
    return (*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id)


def encode_written(
    tokenizer: PreTrainedTokenizerBase, prompt: tuple[int, ...], text: str, did_stop: bool
) -> Example:
    """An answer as its model wrote it: the stop token is there only if it came."""
    response = encode_answer(tokenizer, text)
    return Example(prompt, response if did_stop else response[:-1] or response)


def encode(tokenizer: PreTrainedTokenizerBase, row: Row, answer: str | None = None) -> Example:
    """A row with its gold answer, or with the answer given."""
    text = row.answer if answer is None else answer
    return Example(encode_prompt(tokenizer, row), encode_answer(tokenizer, text) if text is not None else ())


def decode_answer(tokenizer: PreTrainedTokenizerBase, response: Sequence[int]) -> str:
    """The text of a response without special tokens."""
    return str(tokenizer.decode(list(response), skip_special_tokens=True)).strip()
