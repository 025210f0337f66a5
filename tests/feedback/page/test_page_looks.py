"""How the pages look, measured in Chromium: contrast, room on a phone, sizes of what is touched."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page

if TYPE_CHECKING:
    from tests.feedback.page.conftest import Site

pytestmark = pytest.mark.browser
Open = Callable[..., Page]
PAGES = ("judge", "error", "done", "guide", "login")
# Of every element with text of its own that is seen: what it says, its colour, and those behind it.
TEXTS = """() => [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() &&
    !e.matches(".visually-hidden, .skip") && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => { const behind = []; for (let p = e; p; p = p.parentElement)
        behind.push(getComputedStyle(p).backgroundColor);
        return [e.innerText.slice(0, 30), getComputedStyle(e).color, behind] })"""
# Of every field and button: its border, and the colours behind it.
EDGES = """() => [...document.querySelectorAll("button:not(.plain, .primary), .button, select, textarea,"
    + ".ranks label, input[type=password]")].filter(e => e.checkVisibility())
    .map(e => { const behind = []; for (let p = e.parentElement; p; p = p.parentElement)
        behind.push(getComputedStyle(p).backgroundColor);
        return [e.outerHTML.slice(0, 40), getComputedStyle(e).borderTopColor, behind] })"""
TARGETS = """() => [...document.querySelectorAll("button, summary, select, textarea, .ranks label, .choice,"
    + ".handle, a.button, a.brand, input[type=password]")].filter(e => e.checkVisibility())
    .map(e => { const box = e.getBoundingClientRect();
        return [e.outerHTML.slice(0, 60), box.width, box.height] })"""
UNLABELLED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
    .filter(e => !e.labels.length).map(e => e.outerHTML)"""
NAMED = """() => [...document.querySelectorAll("[aria-labelledby], [aria-describedby]")]
    .flatMap(e => [e.getAttribute("aria-labelledby"), e.getAttribute("aria-describedby")])
    .filter(Boolean).join(" ")"""


def luminance(red: float, green: float, blue: float) -> float:
    """Relative luminance of a colour of 0 to 255, as WCAG 2.2 defines it."""
    parts = [value / 255 for value in (red, green, blue)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    bright, dark = sorted([luminance(*first[:3]), luminance(*second[:3])], reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def parse(colour: str) -> tuple[float, ...]:
    """Red, green, blue and, where it is not opaque, alpha."""
    assert colour.startswith("rgb"), colour
    return tuple(float(part) for part in re.findall(r"[\d.]+", colour))


def poor(found: list[Any], least: float) -> list[tuple[str, float]]:
    """What has less contrast than asked for with the first opaque colour behind it."""
    measured = []
    for what, colour, behind in found:
        opaque = [parse(one) for one in behind if len(parse(one)) == 3]
        measured.append((what, contrast(parse(colour), opaque[0])))
    assert measured
    return [(what, ratio) for what, ratio in measured if ratio < least]


def show(page: Page, name: str) -> None:
    """Go from one of PAGES to the next, and open everything that can be opened."""
    if name == "error":
        page.fill("#correction", "better")
        page.locator("input[type=radio]").first.check()
        page.click("#submit")
        page.wait_for_selector("#summary")
    elif name == "done":
        page.fill("#correction", "")
        page.get_by_role("button", name="Cannot judge").click()
        page.wait_for_selector("text=Nothing waits for you")
    elif name == "guide":
        page.get_by_role("link", name="How to judge").click()
        page.wait_for_url("**/guide")
    elif name == "login":
        page.get_by_role("button", name="Log out").click()
        page.wait_for_selector("#token")
    page.wait_for_load_state()
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    # 0.2126, 0.7152 and 0.0722 of full light, 0.05 added to each: by hand.
    [
        ((0, 0, 0), (255, 255, 255), 21.0),
        ((255, 0, 0), (255, 255, 255), 3.998),
        ((0, 0, 255), (0, 0, 0), 2.444),
        ((9, 9, 9), (9, 9, 9), 1.0),
    ],
)
def test_the_measure_of_contrast(first: tuple[float, ...], second: tuple[float, ...], ratio: float) -> None:
    assert contrast(first, second) == pytest.approx(ratio, abs=1e-3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(site: "Site", open_page: Open, scheme: str) -> None:
    site.put("a", "", "c")
    page = open_page(color_scheme=scheme)
    for name in PAGES:
        show(page, name)
        body = parse(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert (luminance(*body) > 0.5) == (scheme == "light")
        assert poor(page.evaluate(TEXTS), 4.5) == [], name
        assert poor(page.evaluate(EDGES), 3) == [], name
        # The ring of what has focus.
        page.keyboard.press("Tab")
        ring = "getComputedStyle(document.activeElement)"
        assert page.evaluate(f"[{ring}.outlineStyle, {ring}.outlineWidth]") == ["solid", "3px"], name
        assert contrast(parse(page.evaluate(f"{ring}.outlineColor")), body) > 3, name


@pytest.mark.parametrize("width", [320, 360])
def test_a_phone_has_room_for_all(site: "Site", open_page: Open, width: int) -> None:
    site.put("w" * 300, "b " * 300, *"cdef", prompt="Facts " * 50 + "p" * 300)
    page = open_page(viewport={"width": width, "height": 740}, has_touch=True, is_mobile=True)
    for name in PAGES:
        show(page, name)
        assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width], name
        targets = page.evaluate(TARGETS)
        assert targets
        assert [target for target in targets if min(target[1:]) < 24] == [], name


def test_lines_are_no_longer_than_can_be_read(site: "Site", open_page: Open) -> None:
    site.put("word " * 200, "b")
    page = open_page(viewport={"width": 1920, "height": 1080})
    widths = page.evaluate(
        "[...document.querySelectorAll('p, li, dd')].map(e => e.getBoundingClientRect().width"
        " / parseFloat(getComputedStyle(e).fontSize))"
    )
    # A letter is half as wide as high: some 88 letters.
    assert max(widths) < 46


def test_motion_only_for_those_who_like_it(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    still = open_page(reduced_motion="reduce")
    times = (
        "[...new Set([...document.querySelectorAll('*')].map(e => getComputedStyle(e).transitionDuration))]"
    )
    assert still.evaluate(times) == ["0s"]
    assert "0.15s" in open_page(reduced_motion="no-preference").evaluate(times)


def test_pages_are_built_for_those_who_hear_them(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page()
    for name in PAGES:
        show(page, name)
        assert page.locator("html").get_attribute("lang") == "en"
        landmarks = ("header", "main", "footer", "h1")
        assert [page.locator(one).count() for one in landmarks] == [1] * 4, name
        assert page.evaluate(UNLABELLED) == [], name
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids)), name
        assert set(page.evaluate(NAMED).split()) <= set(ids), name
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])")
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), name
