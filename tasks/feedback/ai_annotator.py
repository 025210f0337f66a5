"""A model that judges and revises: the local teacher here; one behind an address in `tasks.ai_endpoint`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema_ai_feedback import JudgingSection
from tasks.feedback.ai_judge import Ask, Judge, judge_in_letters
from tasks.ml.chat_model import ChatModel
from tasks.ml.precision import frozen_copy
from tasks.ml.progress import Bar
from tasks.ml.teacher import load_teacher, load_teacher_tokenizer

NAME_DIGITS = 16


@dataclass(frozen=True)
class AIAnnotator:
    """A model that judges pairs and, asked in words, revises answers."""

    judge: Judge
    ask: Ask


def local_annotator(
    config: JudgingSection, source: tuple[str, str, Path], digest: str, bar: Bar
) -> AIAnnotator:
    """The teacher on this machine; its weights are loaded when it is first asked.

    Args:
        config: The section.
        source: What `tasks.ml.teacher` is told.
        digest: Of its weights.
        bar: Shown progress, one step a conversation.
    """

    def load() -> Any:
        return frozen_copy(load_teacher(*source)[0], config.precision)

    model = ChatModel(load_teacher_tokenizer(*source), load, config.max_new_tokens, bar)
    name = f"ai-{digest.removeprefix('sha256:')[:NAME_DIGITS]}"
    return AIAnnotator(judge_in_letters(name, model.log_odds, config.tie_band), model.reply)
