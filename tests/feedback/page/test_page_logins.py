"""Who may send a form of the page: logins, their ends, and other sites."""

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from tasks.feedback.judgements import Ranking
from tasks.feedback.store.event_store import EventStore

if TYPE_CHECKING:
    from tests.feedback.page.conftest import Site

ATTACK = "<script>alert(1)</script>\"'&"


def test_what_was_entered_outlives_the_login(site: "Site") -> None:
    site.put("a", "b")
    form = site.judge_form(site.browser()) | {"rank-0": "2", "comment": ATTACK}
    # The server was started again: nobody is logged in.
    client = site.visitor()
    page = client.post("/judge", data=form)
    assert page.status_code == 403
    assert "what you entered is kept" in page.text
    login = site.form_on(page.text, "/login").fields
    page = client.post("/login", data=login | {"token": "wrong"})
    assert page.status_code == 401
    login = site.form_on(page.text, "/login").fields
    page = client.post("/login", data=login | {"token": site.invite("anna")})
    kept = site.form_on(page.text, "/judge").fields
    assert kept | {"csrf": ""} == form | {"csrf": ""}
    client.post("/judge", data=kept | {"rank-1": "1"})
    [event] = site.events()
    assert (event.judgement, event.comment) == (Ranking(ranks=(2, 1)), ATTACK)


def test_what_was_entered_is_not_for_who_logs_in_next(site: "Site") -> None:
    site.put("a", "b")
    form = site.judge_form(site.browser()) | {"rank-0": "2", "comment": "SECRET"}
    client = site.visitor()
    login = site.form_on(client.post("/judge", data=form).text, "/login").fields
    page = client.post("/login", data=login | {"token": site.invite("bert")}).text
    assert "SECRET" not in page
    assert not [name for name in site.form_on(page, "/judge").fields if name.startswith("rank-")]


@pytest.mark.parametrize("token", ["", "wrong", "\u00e9\u0000", "x" * 5000])
def test_a_wrong_token_opens_nothing(site: "Site", token: str) -> None:
    site.put("a", "b")
    client = site.visitor()
    form = site.form(client, "/login").fields
    answer = client.post("/login", data=form | {"token": token})
    assert answer.status_code == 401
    assert "Nobody has this token" in answer.text
    assert client.get("/").url.path == "/login"


def test_guessing_tokens_is_slow(site: "Site") -> None:
    client = site.visitor()
    form = site.form(client, "/login").fields
    token = site.invite("anna")
    statuses = [client.post("/login", data=form | {"token": "wrong"}).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    assert client.post("/login", data=form | {"token": token}).status_code == 429


def test_a_login_ends_with_its_token(site: "Site") -> None:
    client = site.browser()
    site.invite("anna")
    assert client.get("/").url.path == "/login"
    client = site.browser()
    EventStore(site.database).withdraw("anna")
    assert client.get("/").url.path == "/login"


def test_logging_out_ends_the_login(site: "Site") -> None:
    client = site.browser()
    assert client.post("/logout", data={"csrf": "wrong"}).url.path == "/"
    form = site.form(client, "/logout").fields
    assert client.post("/logout", data=form).url.path == "/login"
    assert client.get("/").url.path == "/login"


def test_the_cookie_is_for_our_pages_only(site: "Site") -> None:
    cookie = site.visitor().get("/login").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    client = site.browser()
    cookie = client.cookies["retort_session"]
    stranger = TestClient(client.app, cookies={"retort_session": cookie[:-4] + "AAAA"})
    assert stranger.get("/").url.path == "/login"


def test_logging_in_begins_a_new_session(site: "Site") -> None:
    client = site.visitor()
    form = site.form(client, "/login").fields
    client.post("/login", data=form | {"token": site.invite("anna")})
    assert site.form(client, "/logout").fields["csrf"] != form["csrf"]


@pytest.mark.parametrize("csrf", [None, "", "wrong", "\u00e9"])
@pytest.mark.parametrize("path", ["/judge", "/undo", "/logout", "/login"])
def test_a_form_without_the_sessions_token_does_nothing(site: "Site", path: str, csrf: str | None) -> None:
    site.put("a", "b")
    site.put("c", "d", row="two")
    client = site.browser()
    client.post("/judge", data=site.judge_form(client) | {"rank-0": "1", "rank-1": "2"})
    form = site.judge_form(client) | {"rank-0": "1", "rank-1": "2", "comment": "kept", "done": "1"}
    sent = {name: value for name, value in form.items() if name != "csrf"}
    token = {"token": site.invite("bert")} if path == "/login" else {}
    answer = client.post(path, data=sent | token | ({"csrf": csrf} if csrf is not None else {}))
    assert len(site.events()) == 1
    assert "anna" in client.get("/").text
    if path == "/judge":
        # It may as well be an old page of their own.
        assert answer.status_code == 403
        del form["done"]
        assert site.form_on(answer.text, "/judge").fields == form


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://testserver"}, True),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://testserver", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_a_form_from_another_site_does_nothing(site: "Site", headers: dict[str, str], is_taken: bool) -> None:
    site.put("a", "b")
    client = site.browser()
    form = site.judge_form(client) | {"rank-0": "1", "rank-1": "2"}
    answer = client.post("/judge", data=form, headers=headers)
    assert answer.status_code == (200 if is_taken else 403)
    assert len(site.events()) == is_taken


def test_a_link_from_another_site_does_not_end_the_login(site: "Site") -> None:
    client = site.browser()
    # The browser sends no cookie along, and would take a new one.
    stranger = TestClient(client.app)
    answer = stranger.get("/", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert '<a class="button" href="/">Go on</a>' in answer.text
    assert "set-cookie" not in answer.headers
    assert client.get("/").url.path == "/"
