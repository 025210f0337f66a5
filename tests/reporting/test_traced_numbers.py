"""Every number in report, slides and card is one that the run logged: read back out of the files."""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.reporting.definitions import DEFINITIONS
from tasks.reporting.numbers import Number
from tasks.reporting.pages import Pages
from tasks.reporting.pens import Links
from tasks.reporting.story import Story

LANGUAGES = ("en", "fr")
RUNS = "http://127.0.0.1:5000/#/experiments/1/runs"
NUMBER = re.compile(r"[+−-]?\d[\d.,\u202f]*(?:E−?\d+)?")
DIGIT = re.compile(r"\d")
# What stands behind a number in the two languages, and what it multiplies it by.
LARGE = {"K": 1e3, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "Md": 1e9}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def logged(story: Story) -> dict[tuple[str, str], Number]:
    """What the stages logged, read from their files by a loop of this test's own."""
    found = {}
    for stage, part in story.parts.items():
        for metric, value in by_hand(part.folder, part.ref.kind, part.ref.summary, part.record):
            found[stage, metric] = Number(metric, value, stage, part.run_id, part.ref.sha256)
    costs = [part.record["cost"] for part in story.parts.values()]
    total = {name: sum(cost[name] for cost in costs) for name in ("seconds", "kwh")}
    total["kg_co2e"] = total["kwh"] * 0.056
    for name, value in total.items():
        found["report", f"report/{name}"] = Number(f"report/{name}", value, "report", None, "")
    for number in DEFINITIONS.values():
        found["definition", number.metric] = number
    return found


def by_hand(
    folder: Path, stage: str, summary: Mapping[str, Any], record: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    for name, value in summary.items():
        inner = value.items() if isinstance(value, dict) else [(None, value)]
        for part, number in inner:
            if isinstance(number, int | float):
                yield f"{stage}/{name}" + (f".{part}" if part else ""), number
    for name, value in record["cost"].items():
        if isinstance(value, float):
            yield f"cost/{name}", value
    for file, key in (
        ("figures.json", "{metric}/{model}"),
        ("comparisons.json", "difference/{metric}/{model}/{against}"),
        ("slices.json", "slice/{by}/{slice}/{metric}/{model}"),
    ):
        path = folder / file
        for row in json.loads(path.read_text()) if path.is_file() else []:
            name = key.format(**row)
            yield name, row["difference"] if "difference" in row else row["value"]
            yield f"{name}_low", row["low"]
            yield f"{name}_high", row["high"]
            if "adjusted_p" in row:
                yield f"{name}/adjusted_p", row["adjusted_p"]


def check(text: str, unit: str, value: float, language: str) -> None:
    """The text is the value to within half a unit of its last digit."""
    text = text.strip()
    if text.startswith("<"):
        bound, _ = parse(text.removeprefix("<").strip(), language)
        assert value < bound
        return
    shown, half = parse(text, language)
    exact = 100 * value if unit == "share" else value
    assert abs(shown - exact) <= half * (1 + 1e-9), (text, unit, value)


def parse(text: str, language: str) -> tuple[float, float]:
    """The number that a text says, and half a unit of its last digit."""
    text = text.replace("\u202f", "").replace(" ", "").removesuffix("%").replace("−", "-")
    factor = 1.0
    if match := re.search(r"(Md|[KkMGB])$", text):
        factor, text = LARGE[match[1]], text[: match.start()]
    text = text.replace(".", "").replace(",", ".") if language == "fr" else text.replace(",", "")
    mantissa, _, exponent = text.partition("E")
    factor *= 10.0 ** int(exponent or 0)
    decimals = len(mantissa.partition(".")[2])
    return float(mantissa) * factor, 0.5 * 10.0**-decimals * factor


class Page(HTMLParser):
    """Numbers with what their elements say, and every other text with the elements around it."""

    VOID = {"meta", "img", "br", "use", "path", "link"}

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[tuple[dict[str, str], str]] = []
        self.others: list[tuple[str, list[str]]] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self._stack: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values["id"]} if "id" in values else set()
        if tag == "a":
            self.addresses.append(values["href"])
        if tag not in self.VOID:
            self._stack.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        while self._stack and self._stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, values in self._stack:
            if "data-metric" in values:
                self.numbers.append((values, data))
                return
        marks = [tag for tag, _ in self._stack]
        marks += [name for _, values in self._stack for name in (values.get("class", "").split())]
        marks += ["data-name" for _, values in self._stack if "data-name" in values]
        self.others.append((data, marks))


# Where digits are no measurements: names, quotations, identifiers, moments, styles, drawings.
NO_MEASUREMENT = {"quote", "data-name", "code", "time", "style", "svg", "title"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_of_the_page_is_a_logged_one(
    story: Story, themes: Any, tmp_path: Path, language: str, logged: dict[tuple[str, str], Number]
) -> None:
    Pages(story, themes, (language,), ("html",), Links(RUNS), print).write(tmp_path)
    page = Page()
    page.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.numbers) > 200
    for values, text in page.numbers:
        number = logged[values["data-stage"], values["data-metric"]]
        assert values["data-run"] == (number.run_id or "")
        assert values["data-artifact"] == number.artifact
        check(text, values["data-unit"], number.value, language)
        if number.run_id:
            assert values["href"] == f"{RUNS}/{number.run_id}"
    loose = [text for text, marks in page.others if DIGIT.search(text) and not NO_MEASUREMENT & set(marks)]
    assert loose == []


def test_a_page_without_a_server_leads_to_what_it_says_of_each_stage(story: Story, tmp_path: Path) -> None:
    Pages(story, None, ("en",), ("html",), Links(), print).write(tmp_path)
    page = Page()
    page.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    inside = {address.removeprefix("#") for address in page.addresses if address.startswith("#")}
    assert "made-evaluate" in inside
    assert inside <= page.ids


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_of_the_slides_is_a_logged_one(
    story: Story, themes: Any, tmp_path: Path, language: str, logged: dict[tuple[str, str], Number]
) -> None:
    from pptx import Presentation

    Pages(story, themes, (language,), ("slides",), Links(), print).write(tmp_path)
    slides = list(Presentation(str(tmp_path / "slides.pptx")).slides)
    assert 8 <= len(slides) <= 12
    found = 0
    for slide in slides:
        index = json.loads(slide.notes_slide.notes_text_frame.text.splitlines()[-1])
        said = "\n".join(texts_on(slide))
        found += check_index(said, index, language, logged)
    assert found > 60


def texts_on(slide: Any) -> Iterator[str]:
    for shape in slide.shapes:
        if shape.has_text_frame:
            yield shape.text_frame.text
        if shape.has_table:
            yield from (cell.text_frame.text for row in shape.table.rows for cell in row.cells)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_of_the_card_is_a_logged_one(
    story: Story, tmp_path: Path, language: str, logged: dict[tuple[str, str], Number]
) -> None:
    Pages(story, None, (language,), ("card",), Links(), print).write(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    _, head, rest = text.split("---\n", 2)
    body, _, comment = rest.partition("<!-- retort-numbers\n")
    index = json.loads(comment.removesuffix("-->\n"))
    without_ids = re.sub(r"`[^`]*`", "", body)
    assert check_index(without_ids, index, language, logged) > 30
    [result] = yaml.safe_load(head)["model-index"][0]["results"]
    assert len(result["metrics"]) > 8
    for metric in result["metrics"]:
        assert metric["value"] == logged["evaluate", f"{metric['type']}/aligned"].value


def check_index(
    said: str, index: dict[str, Any], language: str, logged: dict[tuple[str, str], Number]
) -> int:
    """The numbers of a text are those of its index, in order, and each of those is a logged one."""
    for quotation in sorted(index["quoted"], key=len, reverse=True):
        said = said.replace(quotation, "")
    shown = [text.rstrip(".,\u202f") for text in NUMBER.findall(said)]
    listed = [NUMBER.search(entry["text"]) for entry in index["numbers"]]
    assert shown == [match[0].rstrip(".,\u202f") for match in listed if match]
    for entry in index["numbers"]:
        number = logged[entry["stage"], entry["metric"]]
        assert (entry["run"], entry["artifact"]) == (number.run_id, number.artifact)
        assert entry["value"] == number.value
        check(entry["text"], entry["unit"], number.value, language)
    return len(shown)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("67.1 %", "share", 0.6723),
        ("67.1 %", "share", -0.671),
        ("44.3M", "", 44_360_000.0),
        ("< 0.001", "", 0.002),
    ],
)
def test_the_check_itself_finds_a_wrong_number(text: str, unit: str, value: float) -> None:
    with pytest.raises(AssertionError):
        check(text, unit, value, "en")
