"""All pages of a run: reports, slides and cards, in the languages and forms that are asked for."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema_report import Form
from tasks.reporting.page import PRINT, SCREEN, Medium, render_page
from tasks.reporting.pdf import printable, write_pdf
from tasks.reporting.pens import Links
from tasks.reporting.plots import Plot, draw_all
from tasks.reporting.story import Story
from tasks.reporting.words import Words

Tell = Callable[[str], object]
NAMES: Mapping[Form, str] = {
    "html": "report{}.html",
    "pdf": "report{}.pdf",
    "slides": "slides{}.pptx",
    "card": "README{}.md",
}
INDEX = "numbers.json"


@dataclass(frozen=True)
class Pages:
    """What is to be written of a run.

    Attributes:
        story: The run.
        themes: What `tasks.ml.theme_map` found, or None.
        languages: Codes, at least one. Pages of the first bear plain names, those of others its code:
            `report.html`, `report.fr.html`.
        forms: Which forms.
        links: Where runs can be looked at.
        tell: Told in a line what could not be written.
    """

    story: Story
    themes: Any
    languages: Sequence[str]
    forms: Sequence[Form]
    links: Links
    tell: Tell

    def write(self, out: Path) -> list[Path]:
        """Write the pages, and `numbers.json`, an index of all numbers; gives the files.

        Args:
            out: An existing folder.
        """
        forms = [form for form in self.forms if form != "pdf" or self._can_print()]
        writers = {"html": self._html, "pdf": self._pdf, "slides": self._slides, "card": self._card}
        written = []
        for language in self.languages:
            words = Words(language)
            plots = draw_all(self.story, self.themes, words)
            for form in forms:
                path = out / self.name(form, language)
                writers[form](path, words, plots)
                written.append(path)
        index = [vars(number) for number in self.story.numbers]
        (out / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
        return [*written, out / INDEX]

    def name(self, form: Form, language: str) -> str:
        """Name of a page's file."""
        return NAMES[form].format("" if language == self.languages[0] else f".{language}")

    def _can_print(self) -> bool:
        missing = printable()
        if missing:
            self.tell(f"report: no PDF, as {missing}")
        return not missing

    def _html(self, path: Path, words: Words, plots: Mapping[str, Plot], medium: Medium = SCREEN) -> None:
        path.write_text(self._page(words, plots, medium), encoding="utf-8")

    def _page(self, words: Words, plots: Mapping[str, Plot], medium: Medium) -> str:
        others = [code for code in self.languages if code != words.language]
        beside = {
            "languages": [(code, self.name("html", code)) for code in others if "html" in self.forms],
            "files": [self.name(form, words.language) for form in self.forms if form != "html"],
        }
        return render_page(self.story, plots, words, self.links, beside, medium)

    def _pdf(self, path: Path, words: Words, plots: Mapping[str, Plot]) -> None:
        write_pdf(self._page(words, plots, PRINT), path)

    def _slides(self, path: Path, words: Words, plots: Mapping[str, Plot]) -> None:
        from tasks.reporting.slides import write_slides

        write_slides(self.story, plots, words, path)

    def _card(self, path: Path, words: Words, plots: Mapping[str, Plot]) -> None:
        from tasks.reporting.card import write_card

        write_card(self.story, words, path)
