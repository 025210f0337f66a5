"""The page where people compare answers, asked as a browser without JavaScript asks."""

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest

from tasks.feedback.events import standing
from tasks.feedback.judgements import Correction, Ranking, Skip
from tasks.feedback.store.comparisons import Comparisons

if TYPE_CHECKING:
    from tests.feedback.page.conftest import Site

ATTACK = "<script>alert(1)</script>\"'&"


def told(page: str) -> str:
    [status] = re.findall(r'role="status">(.*?)</p>', page)
    return unescape(status)


@pytest.mark.parametrize("count", range(2, 7))
def test_a_ranking_of_k_answers(site: "Site", count: int) -> None:
    site.put(*"abcdef"[:count])
    client = site.browser()
    page = client.get("/").text
    form = site.form_on(page, "/judge")
    ranks = [str(rank) for rank in range(1, count + 1)]
    assert form.choices == {f"rank-{place}": [*ranks, "F"] for place in range(count)}
    # Nothing is chosen beforehand.
    assert not [name for name in form.fields if name.startswith("rank-")]
    chosen = ["2", "1", "2", "F", "5", "F"][:count]
    sent = form.fields | {f"rank-{place}": rank for place, rank in enumerate(chosen)}
    answer = client.post("/judge", data=sent | {"action": "judge", "comment": "a\r\nb"})
    [event] = site.events()
    assert event.judgement == Ranking(ranks=(2, 1, 2, None, 5, None)[:count])
    assert (event.annotator, event.comment, event.source, event.simulated) == ("anna", "a\nb", "web", False)
    # The places of the form are the places of the display.
    texts = re.findall(r'<p class="text" dir="auto">(\w)</p>', page)
    assert [shown.text for shown in event.answers] == texts
    assert [response.status_code for response in answer.history] == [303]
    assert told(answer.text) == "Stored."
    assert "1 done, 0 waiting" in answer.text
    assert "Nothing waits for you" in answer.text


def test_a_page_is_blind(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    assert "MODEL" not in client.get("/").text + client.get("/guide").text


def test_line_breaks_of_the_prompt_stay(site: "Site") -> None:
    site.put("a", "b", prompt="One\nTwo\n\nThree?")
    assert ">One\nTwo\n\nThree?</p>" in site.browser().get("/").text


def test_what_people_and_models_wrote_is_escaped(site: "Site") -> None:
    site.put(ATTACK, "b", prompt=ATTACK)
    client = site.browser("<b>anna</b>&")
    entered = {"comment": "</textarea>" + ATTACK, "correction": "</textarea>" + ATTACK, "rank-0": ATTACK}
    page = client.post("/judge", data=site.judge_form(client) | entered)
    assert page.status_code == 422
    assert "<script>" not in page.text
    assert "</textarea>&lt;" not in page.text
    assert "<b>" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;") == 4
    assert site.form_on(page.text, "/judge").fields["comment"] == entered["comment"]


def test_no_style_or_script_stands_in_a_page(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    for page in (client.get("/"), client.get("/guide"), site.visitor().get("/login")):
        assert "'unsafe" not in page.headers["content-security-policy"]
        assert not re.search(r"<style|\sstyle=|\son\w+=|https?://|javascript:", page.text)
        assert re.findall(r"<script[^>]*>(.*?)</script>", page.text, re.S) in ([], [""])
    for file in ("style.css", "judge.js", "icon.svg"):
        assert client.get(f"/static/{file}").status_code == 200


def test_an_error_is_said_beside_its_field_and_nothing_is_lost(site: "Site") -> None:
    site.put("a", "b", "c")
    client = site.browser()
    entered = {"rank-0": "2", "rank-2": "F", "comment": "x\n\ny", "correction": "a better one"}
    form = site.judge_form(client) | entered
    answer = client.post("/judge", data=form | {"action": "judge"})
    assert answer.status_code == 422
    assert site.events() == []
    assert "<title>Error: " in answer.text
    messages = re.findall(r'<p class="error" id="([\w-]+)-error">(.*?)</p>', answer.text)
    assert messages == [
        ("rank-1", "Answer B has no rank yet."),
        ("corrected", "Choose the answer that your better answer mends."),
    ]
    for field, message in messages:
        assert f'<a href="#{field}">{message}</a>' in answer.text
        assert f'aria-describedby="{field}-error"' in answer.text
    again = site.form_on(answer.text, "/judge").fields
    assert again == form
    mended = again | {"rank-1": "1", "corrected": "2", "action": "judge"}
    assert told(client.post("/judge", data=mended).text) == "Stored."
    assert [event.judgement for event in site.events()] == [
        Ranking(ranks=(2, 1, None)),
        Correction(corrected=2, text="a better one"),
    ]


@pytest.mark.parametrize("rank", ["0", "3", "-1", "1.0", "f", " 1", "\u00b9", ""])
def test_a_rank_that_was_not_offered_is_none(site: "Site", rank: str) -> None:
    site.put("a", "b")
    client = site.browser()
    answer = client.post("/judge", data=site.judge_form(client) | {"rank-0": rank, "rank-1": "1"})
    assert answer.status_code == 422
    assert site.events() == []


def test_texts_that_are_too_long_are_refused_and_kept(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    ranked = site.judge_form(client) | {"rank-0": "1", "rank-1": "1"}
    answer = client.post("/judge", data=ranked | {"comment": "x" * 10_001})
    assert answer.status_code == 422
    assert "Your comment has 10,001 characters; 10,000 are the most." in answer.text
    assert site.form_on(answer.text, "/judge").fields["comment"] == "x" * 10_001
    client.post("/judge", data=ranked | {"comment": "\r\n".join(["x" * 4999, "y" * 5000])})
    [event] = site.events()
    assert len(event.comment) == 10_000


def test_a_correction_stands_beside_the_ranking(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    sent = site.judge_form(client) | {"rank-0": "1", "rank-1": "2", "comment": "hm"}
    page = client.post("/judge", data=sent | {"corrected": "1", "correction": " better\r\nstill "}).text
    ranking, correction = site.events()
    assert ranking.judgement == Ranking(ranks=(1, 2))
    assert correction.judgement == Correction(corrected=1, text="better\nstill")
    assert standing([ranking, correction]) == [ranking, correction]
    # The comment is said once.
    assert (ranking.comment, correction.comment) == ("hm", "")
    assert "1 done, 0 waiting" in page


def test_a_chosen_answer_without_a_better_one_is_an_error(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    page = client.post("/judge", data=site.judge_form(client) | {"corrected": "0", "action": "skip"}).text
    assert "Write the better answer, or choose None above." in page
    assert site.events() == []


def test_cannot_judge_wants_no_ranks(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    page = client.post("/judge", data=site.judge_form(client) | {"action": "skip", "rank-0": "1"}).text
    assert "1 done, 0 waiting" in page
    [event] = site.events()
    assert event.judgement == Skip(reason="cannot judge")


def test_a_page_sent_twice_is_stored_once(site: "Site") -> None:
    site.put("a", "b")
    site.put("c", "d", row="two")
    client = site.browser()
    sent = site.judge_form(client) | {
        "rank-0": "1",
        "rank-1": "2",
        "corrected": "1",
        "correction": "e",
    }
    for _ in range(3):
        page = client.post("/judge", data=sent).text
        assert told(page) == "Stored."
        assert "1 done, 1 waiting" in page
    assert len(site.events()) == 2
    # The message is shown once.
    assert told(client.get("/").text) == ""
    # The same question on a page of its own, or changed: what was stored stands.
    for other in (sent | {"key": "another key"}, sent | {"rank-0": "2"}):
        assert "Undo it first" in told(client.post("/judge", data=other).text)
    assert len(site.events()) == 2


def test_undo_takes_back_one_judgement_and_asks_it_again(site: "Site") -> None:
    ids = {site.put("a", "b"), site.put("c", "d", row="two")}
    client = site.browser()
    assert 'action="/undo"' not in client.get("/").text
    for _ in ids:
        last = site.judge_form(client)
        page = client.post("/judge", data=last | {"rank-0": "1", "rank-1": "2"}).text
    undo = site.form_on(page, "/undo").fields
    answer = client.post("/undo", data=undo)
    assert told(answer.text) == "Your last judgement is taken back."
    assert "1 done, 1 waiting" in answer.text
    assert site.form_on(answer.text, "/judge").fields["comparison"] == last["comparison"]
    # A double click takes back one.
    assert "Nothing was undone" in told(client.post("/undo", data=undo).text)
    assert len(site.events()) == 3
    again = site.form_on(answer.text, "/judge").fields
    client.post("/judge", data=again | {"rank-0": "2", "rank-1": "1"})
    held = [event.judgement for event in standing(site.events()) if not isinstance(event.judgement, Skip)]
    assert held == [Ranking(ranks=(1, 2)), Ranking(ranks=(2, 1))]


def test_a_question_that_left_the_queue_is_no_error(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    form = site.judge_form(client) | {"rank-0": "1", "rank-1": "2"}
    Comparisons(site.database).clear()
    page = client.post("/judge", data=form).text
    assert told(page) == "Nothing was stored: that question is no longer in the queue."
    assert "There is nothing to judge yet." in page
    assert client.get(f"/compare/{form['comparison']}").url.path == "/"


def test_nobody_sees_what_others_said(site: "Site") -> None:
    comparison = site.put("a", "b")
    anna, bert = site.browser(), site.browser("bert")
    form = site.judge_form(anna) | {"rank-0": "2", "rank-1": "1", "comment": "SECRET"}
    anna.post("/judge", data=form | {"corrected": "0", "correction": "SECRET"})
    for path in ("/", f"/compare/{comparison}", "/guide"):
        page = bert.get(path).text
        assert "SECRET" not in page
        assert "anna" not in page
    assert not [name for name in site.judge_form(bert) if name.startswith("rank-")]
    assert "0 done, 1 waiting" in bert.get("/").text
    # Bert has nothing to undo, and anna's stays.
    csrf = site.judge_form(bert)["csrf"]
    bert.post("/undo", data={"csrf": csrf, "done": "0"})
    assert len(site.events()) == 2
    # A form of anna's that bert sends is not his judgement.
    assert "another login" in told(bert.post("/judge", data=form | {"csrf": csrf}).text)
    assert {event.annotator for event in site.events()} == {"anna"}


def test_the_guide_is_for_all_and_says_the_rules(site: "Site") -> None:
    site.put("a", "b")
    rules = ["Being right comes first", "Then how much it helps", "Long is not good", "Ties", "F is for"]
    places = [site.visitor().get("/guide").text, site.browser().get("/").text]
    for page in places:
        found = [page.index(rule) for rule in rules]
        assert found == sorted(found)
