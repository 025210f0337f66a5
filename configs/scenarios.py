"""Deployment scenarios of the impact assessment: a YAML file with texts in English and French."""

from pathlib import Path

from pydantic import Field, model_validator

from configs.layers import read_layers
from configs.section import Section


class Words(Section):
    """A text in the languages of the reports."""

    en: str = Field(min_length=1, description="in English")
    fr: str = Field(min_length=1, description="in French")


class Scenario(Section):
    """One way to use a model."""

    scenario: str = Field(pattern="^[a-z_]+$", description="a name")
    title: Words = Field(description="who uses it for what")
    metrics: tuple[str, ...] = Field(min_length=1, description="figures that matter there")
    open_questions: tuple[Words, ...] = Field(min_length=1, description="what only people can answer")


class Scenarios(Section):
    """All of them, and what each figure says."""

    claims: dict[str, Words] = Field(description="what a figure says, by metric")
    scenarios: tuple[Scenario, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _every_metric_has_words(self) -> "Scenarios":
        used = {metric for scenario in self.scenarios for metric in scenario.metrics}
        if missing := sorted(used - self.claims.keys()):
            raise ValueError(f"`claims` says nothing of {', '.join(missing)}")
        return self


def read_scenarios(path: Path) -> Scenarios:
    """Read a file of scenarios.

    Raises:
        ConfigError: Listing everything that is wrong.
    """
    return read_layers(Scenarios, [path])
