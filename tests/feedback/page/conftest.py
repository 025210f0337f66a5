"""A feedback store, its site, and who visits it: a reader of forms, and Chromium."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.comparisons import Comparison, Comparisons
from tasks.feedback.store.database import Database
from tasks.feedback.store.event_store import EventStore
from tasks.feedback.web.app import make_app
from tasks.feedback.web.guard import Settings
from tasks.feedback.web.serve import listen, shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SETTINGS = Settings(requests_per_minute=1000, failed_logins_per_minute=3, body_bytes=256 * 1024)


class Form(HTMLParser):
    """What a browser would send with one form of a page as it stands; `choices` are the values of radios."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.action, self.fields, self.choices = action, dict[str, str](), dict[str, list[str]]()
        self._is_inside, self._area = False, ""
        self.feed(page)
        assert self.fields, f"no form for {action}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._is_inside = given["action"] == self.action
        elif self._is_inside and "name" in given and tag != "button":
            name, is_radio = given["name"], given.get("type") == "radio"
            if is_radio:
                self.choices.setdefault(name, []).append(given["value"])
            if not is_radio or "checked" in given:
                self.fields[name] = given.get("value", "")
            self._area, self._select = (name if tag == kind else "" for kind in ("textarea", "select"))
        elif self._is_inside and tag == "option" and "selected" in given:
            self.fields[self._select] = given["value"]

    def handle_data(self, data: str) -> None:
        if self._area:
            # Browsers take one line break after <textarea> away.
            self.fields[self._area] = (self.fields[self._area] + data).removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        self._area = "" if tag == "textarea" else self._area
        self._is_inside = self._is_inside and tag != "form"


@dataclass(frozen=True)
class Site:
    """The pages of one store; every `visitor` has a server process of their own."""

    database: Database

    def put(self, *texts: str, row: str = "one", prompt: str = "Facts.\nWhy?") -> str:
        """Let a comparison wait for nine annotators."""
        answers = tuple(
            Shown(text=text, model=f"MODEL-{place}", stopped=True) for place, text in enumerate(texts)
        )
        comparison = Comparison(row=row, prompt=prompt, answers=answers, wanted=9)
        Comparisons(self.database).put([comparison])
        return comparison.id

    def invite(self, name: str) -> str:
        return Annotators(self.database).invite(name)

    def visitor(self) -> TestClient:
        """A browser in which nobody is logged in."""
        return TestClient(make_app(self.database, SETTINGS))

    def browser(self, name: str = "anna") -> TestClient:
        """A browser in which an annotator is logged in."""
        client = self.visitor()
        answer = client.post("/login", data=self.form(client, "/login").fields | {"token": self.invite(name)})
        assert (answer.status_code, answer.url.path) == (200, "/")
        return client

    def form(self, client: TestClient, action: str) -> Form:
        """A form of the page that comes first."""
        return Form(client.get("/").text, action)

    def judge_form(self, client: TestClient) -> dict[str, str]:
        """The fields of the judgement that is asked first."""
        return self.form(client, "/judge").fields

    def form_on(self, page: str, action: str) -> Form:
        """A form of a page."""
        return Form(page, action)

    def events(self) -> list[FeedbackEvent]:
        return list(EventStore(self.database).events())


@pytest.fixture
def site(sqlite_url: str) -> Iterator[Site]:
    """A site where nothing waits."""
    database = Database(sqlite_url)
    yield Site(database)
    database.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium")
    # Its sandbox refuses to be root's.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """The site on a free port of loopback."""
    with listen("127.0.0.1", 0) as listening:
        config = uvicorn.Config(site.visitor().app, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield shown(listening)
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def open_page(site: Site, address: str, chromium: "Browser") -> Iterator[Callable[..., "Page"]]:
    """Opens a browser of its own in which anna is logged in; what its console complains of fails the test."""
    contexts, complaints = [], list[str]()

    def note(message: Any) -> None:
        # A form that is refused is no fault of the page.
        if message.type in ("error", "warning") and "status of 422" not in message.text:
            complaints.append(message.text)

    def run(**options: Any) -> "Page":
        context = chromium.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        # The field gets focus by itself.
        page.wait_for_selector("#token:focus")
        page.keyboard.type(site.invite("anna"))
        page.keyboard.press("Enter")
        page.wait_for_url(address + "/")
        return page

    yield run
    for context in contexts:
        context.close()
    assert complaints == []
