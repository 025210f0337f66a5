"""The page in a real browser: by keys, by mouse, by touch."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from tasks.feedback.judgements import Correction, Ranking, Skip

if TYPE_CHECKING:
    from tests.feedback.page.conftest import Site

pytestmark = pytest.mark.browser
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
LONG = "Butter is made of cream. " * 12
Open = Callable[..., Page]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def stored(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text("Stored.")
    # The script runs when all of the page is there.
    page.wait_for_load_state()


def order(page: Page) -> str:
    return "".join(page.locator(".answer h3").all_inner_texts()).replace("Answer ", "")


def ranks(page: Page) -> dict[str, str]:
    """The rank chosen for each answer that has one."""
    checked = page.locator("input[type=radio]:checked").all()
    return {"ABCDEF"[int((one.get_attribute("name") or "")[5:])]: one.input_value() for one in checked}


def focused(page: Page) -> str:
    """What has focus: its text, label or name."""
    return str(
        page.evaluate(
            """() => { const e = document.activeElement;
            const text = e === document.body ? "body" : e.innerText;
            const name = e.matches("input[type=radio]") ? e.name + "=" + e.value : e.id;
            return (e.getAttribute("aria-label") || name || text).trim() }"""
        )
    )


def test_a_whole_judgement_by_keys_alone(site: "Site", open_page: Open) -> None:
    site.put("a", "b", "c")
    page = open_page(**DESKTOP)
    press(page, "j", "1", "ArrowDown", "2", "j", "f")
    expect(page.locator("#live")).to_have_text("Answer C: fails")
    assert focused(page) == "answer-2"
    # There is none after the last, none before the first, and no rank 4 of three.
    press(page, "j", "4", "k", "k", "ArrowUp", "3", "3")
    assert focused(page) == "answer-0"
    assert ranks(page) == {"A": "3", "B": "2", "C": "F"}
    press(page, "s")
    stored(page)
    [event] = site.events()
    assert event.judgement == Ranking(ranks=(3, 2, None))
    press(page, "u")
    expect(page.get_by_role("status")).to_have_text("Your last judgement is taken back.")
    page.wait_for_load_state()
    page.focus("#comment")
    press(page, "s", "1", "u", "?", "j")
    assert page.input_value("#comment") == "s1u?j"
    page.focus("#answer-0")
    press(page, "1", "j", "1", "j", "1")
    page.focus("#comment")
    press(page, "Control+Enter")
    stored(page)
    assert site.events()[-1].judgement == Ranking(ranks=(1, 1, 1))
    assert site.events()[-1].comment == "s1u?j"


def test_arrows_within_ranks_choose_and_between_answers_move(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP)
    page.locator("input[name=rank-0]").first.check()
    press(page, "ArrowRight")
    assert ranks(page) == {"A": "2"}
    press(page, "ArrowDown")
    assert focused(page) == "answer-1"
    assert ranks(page) == {"A": "2"}


def test_keys_can_be_turned_off_and_stay_off(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP)
    press(page, "?")
    expect(page.locator("#keys")).to_have_attribute("open", "")
    page.get_by_label("Use these keys").uncheck()
    page.reload()
    page.focus("#answer-0")
    press(page, "1", "j", "?", "s")
    assert (ranks(page), focused(page)) == ({}, "answer-0")
    expect(page.locator("#keys")).not_to_have_attribute("open", "")
    assert site.events() == []


def test_without_javascript_by_the_browsers_own_keys(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP, java_script_enabled=False)
    expect(page.get_by_role("button", name="Move answer A up")).to_have_count(0)
    page.locator("input[name=rank-0]").first.focus()
    # Space chooses, an arrow chooses the next: A is second, and B is F, the third choice.
    press(page, "Space", "ArrowRight", "Tab", "Space", "ArrowRight", "ArrowRight")
    page.locator(".more summary").click()
    page.select_option("#corrected", label="Answer A")
    page.fill("#correction", "a better a")
    page.click("#submit")
    stored(page)
    first, second = site.events()
    assert first.judgement == Ranking(ranks=(2, None))
    assert second.judgement == Correction(corrected=0, text="a better a")
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Cannot judge").click()
    stored(page)
    assert site.events()[-1].judgement == Skip(reason="cannot judge")


def handle(page: Page, name: str) -> Locator:
    return page.locator(f"[data-name={name}] .handle")


def drag(page: Page, name: str, to: str, inside: float) -> None:
    """Drag an answer to a height inside another, by mouse; 0 is its top, 1 its bottom."""
    handle(page, name).scroll_into_view_if_needed()
    start, end = handle(page, name).bounding_box(), page.locator(f"[data-name={to}]").bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 10, start["y"] + 10)
    page.mouse.down()
    page.mouse.move(start["x"], end["y"] + inside * end["height"], steps=12)
    page.mouse.up()


def test_dragging_by_mouse_ranks_by_the_order(site: "Site", open_page: Open) -> None:
    site.put("a", "b", "c")
    page = open_page(**DESKTOP)
    drag(page, "A", "C", inside=0.9)
    assert order(page) == "BCA"
    assert ranks(page) == {"A": "3", "B": "1", "C": "2"}
    expect(page.locator("#live")).to_have_text("Answer A moved. B: rank 1, C: rank 2, A: rank 3")
    drag(page, "A", "B", inside=0.1)
    assert order(page) == "ABC"
    page.click("#submit")
    stored(page)
    # The places of a judgement are those of the display, wherever answers were dragged.
    assert site.events()[0].judgement == Ranking(ranks=(1, 2, 3))


def test_a_click_on_the_handle_ranks_nothing(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP)
    handle(page, "A").click()
    assert ranks(page) == {}


def test_buttons_do_what_dragging_does_and_ties_and_fails_stay(site: "Site", open_page: Open) -> None:
    site.put("a", "b", "c", "d")
    page = open_page(**DESKTOP)
    for name, rank in (("A", "1"), ("B", "1"), ("C", "2"), ("D", "F")):
        page.get_by_role("radiogroup", name=f"Rank of answer {name}").get_by_label(rank).check()
    up = page.get_by_role("button", name="Move answer C up")
    up.focus()
    press(page, "Enter")
    # Between A and B, C parts them.
    assert (order(page), ranks(page)) == ("ACBD", {"A": "1", "C": "2", "B": "3", "D": "F"})
    assert focused(page) == "Move answer C up"
    for name, rank in (("A", "1"), ("B", "1")):
        page.get_by_role("radiogroup", name=f"Rank of answer {name}").get_by_label(rank).check()
    up.click()
    assert (order(page), ranks(page)) == ("CABD", {"C": "1", "A": "2", "B": "2", "D": "F"})
    # What is moved is ranked, were it failed before.
    page.get_by_role("button", name="Move answer D up").click()
    assert ranks(page) == {"C": "1", "A": "2", "D": "3", "B": "4"}


def test_a_whole_judgement_by_touch(site: "Site", open_page: Open) -> None:
    site.put("a", "b", LONG)
    page = open_page(**PHONE)
    handle(page, "B").scroll_into_view_if_needed()
    start, end = handle(page, "B").bounding_box(), page.locator("[data-name=A]").bounding_box()
    assert start
    assert end
    session = page.context.new_cdp_session(page)
    x, y, top = start["x"] + 10, start["y"] + 10, end["y"] + 10

    def touch(kind: str, *points: float) -> None:
        places = [{"x": x, "y": point} for point in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", y)
    for part in range(1, 11):
        touch("touchMove", y + (top - y) * part / 10)
    # The finger rests before it leaves, or Chromium takes it for a fling and the next tap for its end.
    page.wait_for_timeout(200)
    touch("touchMove", top)
    touch("touchEnd")
    assert order(page) == "BAC"
    assert ranks(page) == {"B": "1", "A": "2", "C": "3"}
    fails = page.get_by_role("radiogroup", name="Rank of answer C").get_by_label("F")
    fails.tap()
    expect(fails).to_be_checked()
    page.tap("#submit")
    stored(page)
    assert site.events()[0].judgement == Ranking(ranks=(2, 1, None))


def test_a_double_click_stores_one_judgement(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    site.put("c", "d", row="two")
    page = open_page(**DESKTOP)
    press(page, "j", "1", "j", "2")
    page.dblclick("#submit")
    expect(page.get_by_text("1 done, 1 waiting")).to_be_visible()
    page.reload()
    assert len(site.events()) == 1


def test_undo_has_its_key_where_nothing_waits(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP)
    page.get_by_role("button", name="Cannot judge").click()
    stored(page)
    press(page, "j", "1", "s", "?", "u")
    expect(page.get_by_role("status")).to_have_text("Your last judgement is taken back.")


def test_an_error_has_focus_and_leads_to_its_field(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP)
    press(page, "j", "1")
    page.fill("#comment", "hm")
    page.click("#submit")
    expect(page.get_by_role("alert")).to_be_focused()
    assert page.title().startswith("Error: ")
    page.get_by_role("link", name="Answer B has no rank yet.").click()
    group = page.get_by_role("radiogroup", name="Rank of answer B")
    expect(group).to_be_focused()
    expect(group).to_have_accessible_description("Answer B has no rank yet.")
    assert (ranks(page), page.input_value("#comment")) == ({"A": "1"}, "hm")


def test_the_order_of_tab(site: "Site", open_page: Open) -> None:
    site.put("a", "b")
    page = open_page(**DESKTOP)
    stops = []
    for _ in range(17):
        press(page, "Tab")
        stops.append(focused(page))
    answers = [
        [f"Move answer {name} up", f"Move answer {name} down", f"rank-{place}=1"]
        for place, name in enumerate("AB")
    ]
    assert stops == [
        *["Skip to the content", "Retort", "Log out", "How to judge", "Keys"],
        *answers[0],
        *answers[1],
        *["Write a better answer (optional)", "comment", "submit", "Cannot judge", "How to judge", "body"],
    ]
