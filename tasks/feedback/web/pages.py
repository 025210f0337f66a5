"""The web page where people compare answers: plain forms, which a script makes quicker.

Every judgement is a form that is posted and answered with a redirect, so that it works without JavaScript.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.feedback.judgements import Judgement
from tasks.feedback.store.annotators import Annotators, digest
from tasks.feedback.store.database import Database
from tasks.feedback.web.drafts import LONGEST, Draft, on_page, read_draft
from tasks.feedback.web.judging import AlreadyJudgedError, Judging, JudgingError, Task
from tasks.feedback.web.sessions import (
    OwnForm,
    add_sessions,
    form_token,
    is_of_session,
    log_in,
    said,
    say_next,
)

HERE = Path(__file__).parent
RETRY_LOGIN = "The form did not fit your session. Try again; if that fails too, allow cookies for this site."
WRONG_TOKEN = "Nobody has this token, or their access has ended. Check that you copied all of it."
OLD_PAGE = "This page is from before your last login. Look through it, then submit again."
OTHER_LOGIN = "Nothing was stored: that page was opened under another login."
GONE = "Nothing was stored: that question is no longer in the queue."
TWICE = "You had judged that question before; what was stored then stands. Undo it first to change it."
MOVED_ON = "Nothing was undone: you had gone on since that page was shown. Undo again if you want to."


def add_pages(app: FastAPI, database: Database, judging: Judging) -> None:
    """Put the pages, their style and their script into the app, and logins in front of them."""
    add_sessions(app)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.include_router(Pages(database, judging).router())


class Pages:
    """What a browser may ask for."""

    def __init__(self, database: Database, judging: Judging) -> None:
        self._judging = judging
        self._annotators = Annotators(database)
        loader = FileSystemLoader(HERE / "templates")
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        self._templates = Jinja2Templates(env=environment)

    def router(self) -> APIRouter:
        """All addresses of the pages."""
        router = APIRouter(include_in_schema=False)
        router.get("/", response_model=None)(self.ask)
        router.get("/compare/{comparison}", response_model=None)(self.ask_again)
        router.post("/judge", response_model=None)(self.judge)
        router.post("/undo", response_model=None)(self.undo)
        router.get("/guide", response_model=None)(self.guide)
        router.get("/login", response_model=None)(self.show_login)
        router.post("/login", response_model=None)(self.login)
        router.post("/logout", response_model=None)(self.logout)
        return router

    def ask(self, request: Request) -> Response:
        """The comparison that comes next, or the thanks when there is none."""
        annotator = self._who(request)
        if annotator is None:
            return _go("/login")
        task = self._judging.next(annotator)
        if task is None:
            return self._render(request, "done.html", annotator, self._state(request, annotator))
        return self._show(request, annotator, task, _blank(annotator, task), {})

    def ask_again(self, request: Request, comparison: str) -> Response:
        """One comparison, for instance after it was taken back."""
        annotator = self._who(request)
        if annotator is None:
            return _go("/login")
        task = self._judging.find(annotator, comparison)
        if task is None:
            return _go("/")
        return self._show(request, annotator, task, _blank(annotator, task), {})

    def judge(self, request: Request, form: OwnForm) -> Response:
        """Store a judgement, or show again what was entered, with what is wrong beside it."""
        draft, annotator = Draft.of(form), self._who(request)
        if annotator is None:
            # Not 401, which counts as a failed login: a server that started again would lock its people out.
            return self._show_login(request, draft.fields, "", 403)
        task = self._judging.find(annotator, draft.comparison)
        if draft.annotator != annotator or task is None:
            say_next(request, OTHER_LOGIN if draft.annotator != annotator else GONE)
            return _go("/")
        if not is_of_session(request, form):
            return self._show(request, annotator, task, draft, {"submit": OLD_PAGE}, 403)
        judgements, errors = read_draft(draft, len(task.answers), form.get("action") == "skip")
        if errors:
            return self._show(request, annotator, task, draft, errors, 422)
        try:
            self._store(annotator, task, draft, judgements)
        except JudgingError as error:
            say_next(request, TWICE if isinstance(error, AlreadyJudgedError) else GONE)
            return _go("/")
        say_next(request, "Stored.")
        return _go("/")

    def undo(self, request: Request, form: OwnForm) -> Response:
        """Take the last judgement back; a form sent twice takes back one."""
        annotator = self._who(request)
        if annotator is None:
            return _go("/login")
        done = str(self._judging.progress(annotator).done)
        if not is_of_session(request, form) or form.get("done") != done:
            say_next(request, MOVED_ON)
            return _go("/")
        task = self._judging.undo(annotator)
        say_next(request, "Your last judgement is taken back.")
        return _go(f"/compare/{task.comparison}" if task is not None else "/")

    def guide(self, request: Request) -> Response:
        """How to judge."""
        return self._render(request, "guide.html", self._who(request))

    def show_login(self, request: Request) -> Response:
        """The page that asks for a token."""
        if request.headers.get("sec-fetch-site") == "cross-site":
            # Another site's link: the browser keeps the cookie back, and a new one would end the login.
            return self._render(request, "arrival.html", None)
        return _go("/") if self._who(request) else self._show_login(request, {}, "", 200)

    def login(self, request: Request, form: OwnForm) -> Response:
        """Log in; what was entered when the login ended is shown again."""
        kept = Draft.of(form)
        fields = kept.fields if kept.comparison else {}
        if not is_of_session(request, form):
            return self._show_login(request, fields, RETRY_LOGIN, 403)
        token = form.get("token", "").strip()
        annotator = self._annotators.identify(token)
        if annotator is None:
            return self._show_login(request, fields, WRONG_TOKEN, 401)
        log_in(request, digest(token))
        task = self._judging.find(annotator, kept.comparison)
        if task is None or kept.annotator != annotator:
            return _go("/")
        say_next(request, "You are logged in again. Look through what you entered, then submit.")
        return self._show(request, annotator, task, kept, {})

    def logout(self, request: Request, form: OwnForm) -> Response:
        """End the session."""
        if is_of_session(request, form):
            request.session.clear()
        return _go("/login")

    def _who(self, request: Request) -> str | None:
        # Asked of the store each time: a token that is withdrawn or renewed ends its sessions.
        return self._annotators.identify_digest(request.session.get("token_sha256", ""))

    def _store(self, annotator: str, task: Task, draft: Draft, judgements: Sequence[Judgement]) -> None:
        # Each is stored once however often it is sent, so half of them is mended by sending again.
        for number, judgement in enumerate(judgements):
            comment, key = ("" if number else draft.comment), f"{draft.key} {number}"
            self._judging.submit(annotator, task.comparison, task.order, judgement, comment, key)

    def _show(
        self,
        request: Request,
        annotator: str,
        task: Task,
        draft: Draft,
        errors: Mapping[str, str],
        status: int = 200,
    ) -> Response:
        ranks = [str(rank) for rank in range(1, len(task.answers) + 1)]
        answers = on_page(task, draft, errors)
        context = {"task": task, "draft": draft, "errors": errors, "answers": answers, "ranks": ranks}
        context |= {"longest": LONGEST} | self._state(request, annotator)
        return self._render(request, "judge.html", annotator, context, status)

    def _state(self, request: Request, annotator: str) -> dict[str, object]:
        return {"said": said(request), "progress": self._judging.progress(annotator)}

    def _show_login(self, request: Request, kept: Mapping[str, str], error: str, status: int) -> Response:
        return self._render(request, "login.html", None, {"kept": kept, "error": error}, status)

    def _render(
        self,
        request: Request,
        template: str,
        annotator: str | None,
        context: Mapping[str, object] | None = None,
        status: int = 200,
    ) -> Response:
        shared: dict[str, object] = {"annotator": annotator}
        if template != "arrival.html":
            shared["csrf"] = form_token(request)
        return self._templates.TemplateResponse(request, template, shared | dict(context or {}), status)


def _blank(annotator: str, task: Task) -> Draft:
    return Draft(annotator, task.comparison, secrets.token_urlsafe(16))


def _go(address: str) -> Response:
    # 303: the browser follows with GET, so that a reload posts nothing again.
    return RedirectResponse(address, 303)
