"""What a person sees where the server says no; programs get JSON for the same."""

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from tasks.feedback.web.app import make_app
from tasks.feedback.web.guard import Settings

if TYPE_CHECKING:
    from tests.feedback.page.conftest import Site


def tight(site: "Site", requests: int = 1000, body_bytes: int = 4096) -> TestClient:
    """Anna's browser at a server that takes little."""
    settings = Settings(requests_per_minute=requests, failed_logins_per_minute=3, body_bytes=body_bytes)
    client = TestClient(make_app(site.database, settings))
    form = site.form(client, "/login").fields
    client.post("/login", data=form | {"token": site.invite("anna")}, follow_redirects=False)
    return client


def check_page(answer, status: int, title: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"]
    assert f"<h1>{title}</h1>" in answer.text
    assert '{"errors"' not in answer.text


def test_who_asks_too_often_reads_how_long_to_wait(site: "Site") -> None:
    client = tight(site, requests=2)
    assert [client.get("/guide").status_code for _ in range(2)] == [200, 200]
    answer = client.get("/guide")
    check_page(answer, 429, "Please wait a moment")
    assert f"Wait {answer.headers['retry-after']} s." in answer.text
    assert "Reload this page after that." in answer.text


def test_guessed_tokens_are_answered_with_a_page(site: "Site") -> None:
    client = site.visitor()
    form = site.form(client, "/login").fields | {"token": "wrong"}
    answers = [client.post("/login", data=form) for _ in range(4)]
    check_page(answers[-1], 429, "Please wait a moment")


@pytest.mark.parametrize("is_announced", [True, False])
def test_too_long_a_judgement_is_answered_with_a_page(site: "Site", is_announced: bool) -> None:
    site.put("a", "b")
    client = tight(site)
    form = site.judge_form(client) | {"comment": "x" * 5000}
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/judge", content=body if is_announced else iter([body]), headers=headers)
    check_page(answer, 413, "That was too much at once")
    assert "More than 4096 bytes. Send less." in answer.text
    assert "Nothing was stored." in answer.text
    assert site.events() == []


def test_a_judgement_that_the_store_could_not_take_can_be_sent_again(site: "Site") -> None:
    site.put("a", "b")
    client = site.browser()
    form = site.judge_form(client) | {"rank-0": "1", "rank-1": "2"}
    with site.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE annotators RENAME TO gone")
    answer = client.post("/judge", data=form)
    check_page(answer, 503, "The answers cannot be reached just now")
    assert "Reload this page to send it again" in answer.text
    assert "annotators" not in answer.text
    with site.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO annotators")
    assert client.post("/judge", data=form).status_code == 200
    assert len(site.events()) == 1
    client.post("/judge", data=form)
    assert len(site.events()) == 1


def test_an_address_that_is_none_is_a_page_and_one_of_the_api_json(site: "Site") -> None:
    client = site.visitor()
    check_page(client.get("/<b>nothing"), 404, "There is no such page")
    for path in ("/api", "/api/nothing"):
        answer = client.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["errors"])


def test_a_form_of_another_site_is_refused_on_a_page(site: "Site") -> None:
    client = site.visitor()
    answer = client.post("/login", data={"token": "x"}, headers={"Sec-Fetch-Site": "cross-site"})
    check_page(answer, 403, "That was not done")
