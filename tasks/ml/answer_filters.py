"""Which of the teacher's answers are fit to learn from: a chain of filters, the first of which counts.

A filter is a function of a candidate alone, so one that needs more (the score of a reward model) can be made
by whoever has it and put into the chain.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from configs.schema_label import LabelConfig
from tasks.ml.ppo_guard import repetition
from tasks.ml.rows import Row
from tasks.ml.rubric import is_repetitive, judge


@dataclass(frozen=True)
class Candidate:
    """A teacher's answer to a row's question, and whether it ended by itself."""

    row: Row
    text: str
    stopped: bool


Filter = Callable[[Candidate], bool]
Chain = Mapping[str, Filter]

# What assistants say who decline. Bound to the speaker, since food, too, "cannot be recommended", and without
# the verbs of advice: "I would not recommend butter" is an answer.
_I = r"(?:^|(?<=[.!?:;,] )|\b(?:but|and|so|therefore|however|unfortunately|sorry),? )(?:i|we)"
_CANNOT = (
    r"(?: can(?:not|'t| not)| could(?: not|n't)| will not| won't| would not| wouldn't"
    r"|(?: am|'m| are|'re) (?:not able to|unable to|not allowed to|not permitted to|not going to)"
    r"|(?: must| have to)(?: \w+)? (?:decline|refuse) to| refuse to| decline to)"
)
_SERVE = (
    r"(?:help|assist|answer|respond|comply|engage|provide|give|offer|share|discuss|fulfil|fulfill|create"
    r"|generate|write|access|browse|determine|do (?:that|this|so)|advise (?:on|you))"
)
_MACHINE = r"(?:ai|artificial intelligence|(?:large )?language model|chat ?bot|virtual assistant)"
REFUSALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_I}{_CANNOT}(?: \w+){{0,3}}? {_SERVE}\b",
        rf"{_I}(?: must| have to)(?: \w+)? (?:decline|refuse)\b",
        rf"{_I}(?: am|'m| are|'re) (?:not (?:able|comfortable|allowed|permitted)|unable)(?=\W*$| with\b)",
        rf"{_I} do(?: not|n't) (?:feel comfortable|have (?:the ability|access|(?:enough|any) information))\b",
        rf"{_I}(?: am|'m)(?: very| so| really)? sorry,? (?:but )?(?:i|we|that|this)\b",
        rf"\bas an? {_MACHINE}\b",
        rf"\bi(?: am|'m)(?: just| only| merely)? an? {_MACHINE}\b",
        r"\b(?:against|violates?) (?:my|our)(?: \w+)? (?:guidelines|polic(?:y|ies)|programming|principles)\b",
    )
)


def filter_chain(config: LabelConfig) -> Chain:
    """The configured filters in their order; a filter says whether a candidate is to be dropped."""
    return {name: _filters(config)[name] for name in config.filters}


def dropped_by(chain: Chain, candidate: Candidate) -> str | None:
    """The name of the first filter that drops a candidate; None if it survives."""
    return next((name for name, drops in chain.items() if drops(candidate)), None)


def is_refusal(text: str) -> bool:
    """Whether an answer declines to answer, judged by what assistants say who do."""
    plain = " ".join(text.replace("\u2019", "'").split())
    return any(pattern.search(plain) for pattern in REFUSALS)


def _filters(config: LabelConfig) -> dict[str, Filter]:
    def wrong_length(candidate: Candidate) -> bool:
        return not config.min_words <= len(candidate.text.split()) <= config.max_words

    def repetitive(candidate: Candidate) -> bool:
        words = candidate.text.split()
        return is_repetitive(words) or repetition(words) > config.max_repetition

    def contradicts(candidate: Candidate) -> bool:
        return not judge(candidate.row, candidate.text, candidate.stopped).correct

    return {
        "length": wrong_length,
        "repetition": repetitive,
        "stopped": lambda candidate: not candidate.stopped,
        "refusal": lambda candidate: is_refusal(candidate.text),
        "facts": contradicts,
    }
