"""What is written of a run: the section `report`."""

from typing import Literal

from pydantic import Field

from configs.section import Section

Language = Literal["en", "fr"]
Form = Literal["html", "pdf", "slides", "card"]


class ReportConfig(Section):
    """Pages that show a run's results."""

    languages: tuple[Language, ...] = Field(
        min_length=1, description="of the pages; those of the first bear plain names, such as report.html"
    )
    formats: tuple[Form, ...] = Field(
        description="beside report.html: pdf (where the system has Pango), slides (PPTX), card (a model "
        "card in Hugging Face's form)"
    )
    map_questions: int = Field(ge=0, description="questions on the map of what was asked; 0: no map")
