"""The principles by which a model judges answers: a YAML file that people write and can argue about."""

from pathlib import Path

from pydantic import Field, model_validator

from configs.layers import read_layers
from configs.section import Section


class Principle(Section):
    """One thing that makes an answer good."""

    name: str = Field(min_length=1, max_length=80, description="a few words")
    critique: str = Field(min_length=1, description="asks what an answer lacks by it")
    revision: str = Field(min_length=1, description="asks for the answer without that lack")
    judging: str = Field(min_length=1, description="asks which of two answers is better by it")


class Principles(Section):
    """All of them; the first weighs most."""

    principles: tuple[Principle, ...] = Field(min_length=1, description="the first weighs most")

    @model_validator(mode="after")
    def _names_differ(self) -> "Principles":
        names = [principle.name for principle in self.principles]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"`principles` has names that come twice: {', '.join(twice)}")
        return self


def read_principles(path: Path) -> tuple[Principle, ...]:
    """Read a file of principles.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    return read_layers(Principles, [path]).principles
