"""Texts of prompts and answers, which many datasets keep as lists of chat messages.

A message is `{"role": ..., "content": ...}`, and its content a text or a list of parts as in
https://huggingface.co/docs/trl/dataset_formats (conversational format).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.feedback.exchange.reading import BadRow


def prompt_text(value: Any, name: str) -> str:
    """A prompt as one text: a lone user message is its content; of more, each begins with who speaks.

    Raises:
        BadRow: It is empty, or neither text nor messages.
    """
    if not isinstance(value, list):
        return plain_text(value, name)
    messages = [_message(message, name) for message in value]
    if not messages:
        raise BadRow(f"`{name}` is empty")
    if [role for role, _ in messages] == ["user"]:
        return messages[0][1]
    return "\n\n".join(f"{role.capitalize()}: {content}" for role, content in messages)


def answer_text(value: Any, name: str) -> str:
    """An answer: the text, or the content of the assistant's message at the end of a conversation.

    Raises:
        BadRow: It is empty, or neither.
    """
    if not isinstance(value, list):
        return plain_text(value, name)
    if not value:
        raise BadRow(f"`{name}` is empty")
    role, content = _message(value[-1], name)
    if role != "assistant":
        raise BadRow(f"`{name}` ends with a message of the {role}, not of the assistant")
    return content


def with_context(context: Any, prompt: str, name: str) -> str:
    """The context and the question as a model is shown them: the context first, on lines of its own."""
    return prompt if context is None else f"{plain_text(context, name)}\n{prompt}"


def plain_text(value: Any, name: str) -> str:
    """A text that is not blank.

    Raises:
        BadRow: It is none.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRow(f"`{name}` is {'missing' if value is None else 'empty'}")
    if not isinstance(value, str):
        raise BadRow(f"`{name}` is {type(value).__name__}, not text")
    return value


def _message(message: Any, name: str) -> tuple[str, str]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise BadRow(f"`{name}` is a list, but not of messages with `role` and `content`")
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = "".join(_part(part, name) for part in content)
    return message["role"], plain_text(content, f"{name}.content")


def _part(part: Any, name: str) -> str:
    if not isinstance(part, Mapping) or part.get("type") != "text":
        raise BadRow(f"`{name}` holds something that is not text")
    return plain_text(part.get("text"), f"{name}.content")
