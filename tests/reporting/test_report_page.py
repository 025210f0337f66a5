"""The page as people meet it: nothing that models wrote comes alive, and it can be read on any screen."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.reporting.drawing import VARIABLES, spread
from tasks.reporting.pages import Pages
from tasks.reporting.parts import Part
from tasks.reporting.pdf import printable
from tasks.reporting.pens import Links
from tasks.reporting.story import Story

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTHS = (390, 768, 1280)


def test_what_models_and_people_wrote_is_escaped(story: Story, themes: Any, tmp_path: Path) -> None:
    Pages(story, themes, ("en",), ("html", "card"), Links(), print).write(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<script" not in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_page_loads_nothing_and_names_no_place_of_this_machine(
    story: Story, themes: Any, tmp_path: Path
) -> None:
    Pages(story, themes, ("en",), ("html",), Links(), print).write(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#|data:|README|report|slides)', page)
    assert "file:" not in page
    assert str(tmp_path.parent) not in page


def test_a_run_of_before_has_a_shorter_page(
    make_parts: Callable[..., dict[str, Part]], tmp_path: Path
) -> None:
    parts = make_parts(evaluate={"comparisons.json": [], "slices.json": [], "calibration.json": []})
    del parts["assess"]
    for stage in ("distill", "aligned", "reward"):
        (parts[stage].folder / "curve.json").unlink()
    story = Story("nutrition", parts)
    Pages(story, None, ("en", "fr"), ("html", "slides", "card"), Links(), print).write(tmp_path)
    page = (tmp_path / "report.fr.html").read_text(encoding="utf-8")
    for gone in ("differences", "slices", "training", "calibration", "assessment", "impact", "map"):
        assert f'id="{gone}"' not in page
        assert f'href="#{gone}"' not in page
    assert 'id="comparison"' in page


def test_stages_of_another_flow_run_count_as_found(story: Story) -> None:
    states = {stage.name: stage.state for stage in story.stages}
    assert states["clean"] == "cached"
    assert set(states.values()) == {"cached", "executed"}


def test_pages_of_one_run_are_the_same_bytes(story: Story, themes: Any, tmp_path: Path) -> None:
    made = []
    forms = ("html", "card", "pdf") if not printable() else ("html", "card")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Pages(story, themes, ("en",), forms, Links(), print).write(tmp_path / name)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0] == made[1]


def test_without_pango_there_is_no_pdf_and_one_line_says_so(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.reporting.pages.printable", lambda: "the system has no Pango")
    told: list[str] = []
    written = Pages(story, None, ("en", "fr"), ("card", "pdf"), Links(), told.append).write(tmp_path)
    assert sorted(path.name for path in written) == ["README.fr.md", "README.md", "numbers.json"]
    assert told == ["report: no PDF, as the system has no Pango"]


def test_names_of_lines_are_moved_apart_and_keep_their_order() -> None:
    assert spread([0.5, 0.1, 0.52], 0.1) == pytest.approx([0.5, 0.1, 0.6])
    assert spread([0.3, 0.3, 0.3], 0.1) == pytest.approx([0.3, 0.4, 0.5])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""

    def light(colour: str) -> float:
        shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_colours_can_be_told_from_their_ground_by_day_and_by_night() -> None:
    css = (Path(__file__).parents[2] / "tasks" / "templates" / "report.css").read_text(encoding="utf-8")
    by_day, by_night = (
        dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block)) for block in css.split("@media", 2)[:2]
    )
    for colours in (by_day, by_night):
        for name in ("--ink", "--accent", "--warn"):
            assert contrast(colours[name], colours["--paper"]) >= 4.5
        assert contrast(colours["--warn"], colours["--warn-soft"]) >= 4.5
        for name in ("--blue", "--green", "--orange", "--purple", "--grey"):
            assert contrast(colours[name], colours["--paper"]) >= 3
    drawn = {name: colour for colour, name in VARIABLES.items()}
    assert all(by_day[name] == colour for name, colour in drawn.items())


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.browser
@pytest.mark.timeout(120)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_nothing_is_wider_than_the_screen_and_no_text_is_cut(
    story: Story, themes: Any, tmp_path: Path, browser: "Browser", language: str
) -> None:
    Pages(story, themes, (language,), ("html",), Links(), print).write(tmp_path)
    for width in WIDTHS:
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.evaluate(
            """() => [...document.querySelectorAll('td, th, li, p, dd, figcaption, summary')].filter(e => {
                const box = e.getBoundingClientRect();
                return box.left >= 0 && e.scrollWidth > e.clientWidth + 1 && !e.closest('.scroll');
            }).map(e => e.textContent.slice(0, 60))"""
        )
        assert cut == []
        page.close()


@pytest.mark.browser
@pytest.mark.timeout(120)
def test_the_keyboard_reaches_the_results_at_once(story: Story, tmp_path: Path, browser: "Browser") -> None:
    Pages(story, None, ("en",), ("html",), Links(), print).write(tmp_path)
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**/report.html#glance")  # The browser goes there after the key press has returned.
    page.close()
