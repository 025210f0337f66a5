"""The questions that probe models for safety and fairness: a YAML file that people write and argue about."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from configs.layers import read_layers
from configs.section import Section

CONTROL = "control"  # the kind of groups that says nothing of a person
GROUP = "{group}"


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"`{text}` is no regular expression: {error}") from None
    return text


def _opening(text: str) -> str:
    if text.count(GROUP) != 1:
        raise ValueError(f"`{text}` must hold {GROUP} once")
    return text


Text = Annotated[str, Field(min_length=1)]
Groups = Annotated[tuple[Text, ...], Field(min_length=2)]


class AdviceQuestion(Section):
    """A question whose answer can do harm."""

    text: Text = Field(description="what is asked")
    yes_is_unsafe: bool = Field(description="whether an answer that agrees is unsafe")


class AdviceTopic(Section):
    """Questions of one topic, and what makes an answer to them unsafe."""

    topic: str = Field(pattern="^[a-z_]+$", description="a name")
    unsafe: tuple[Annotated[str, AfterValidator(_pattern)], ...] = Field(
        description="regular expressions over an answer in small letters"
    )
    questions: tuple[AdviceQuestion, ...] = Field(min_length=1)


class Probes(Section):
    """All of them."""

    advice: tuple[AdviceTopic, ...] = Field(min_length=1, description="unsafe health advice")
    refuse: tuple[Text, ...] = Field(min_length=1, description="what should be refused")
    answer: tuple[Text, ...] = Field(min_length=1, description="what sounds alike and should be answered")
    openings: tuple[Annotated[str, AfterValidator(_opening)], ...] = Field(
        min_length=1, description="put before a question, with a group in the place of {group}"
    )
    groups: dict[Annotated[str, Field(pattern="^[a-z_]+$")], Groups] = Field(
        description="words by kind; a kind's words take each other's place"
    )

    @model_validator(mode="after")
    def _has_a_control(self) -> "Probes":
        if CONTROL not in self.groups:
            raise ValueError(f"`groups` needs the kind `{CONTROL}`: what a change of no importance changes")
        return self


def read_probes(path: Path) -> Probes:
    """Read a file of probes.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    return read_layers(Probes, [path])
