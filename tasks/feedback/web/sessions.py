"""Who is logged in on the page, and whether a form comes from a page of ours."""

import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.middleware.sessions import SessionMiddleware

COOKIE = "retort_session"
LOGIN_SECONDS = 12 * 3600
MOST_FIELDS = 40


def add_sessions(app: FastAPI) -> None:
    """Keep logins in a signed cookie that no script reads and no other site sends.

    The secret is the process's own: its end ends all logins.
    """
    app.add_middleware(
        SessionMiddleware,
        secret_key=secrets.token_urlsafe(32),
        session_cookie=COOKIE,
        max_age=LOGIN_SECONDS,
        same_site="strict",
    )


def form_token(request: Request) -> str:
    """The session's own token, which each of its forms carries; other sites cannot read it."""
    if "csrf" not in request.session:
        request.session["csrf"] = secrets.token_urlsafe(32)
    return str(request.session["csrf"])


def is_of_session(request: Request, form: dict[str, str]) -> bool:
    """Whether a form carries the session's token."""
    known = request.session.get("csrf", "")
    return bool(known) and secrets.compare_digest(form.get("csrf", "").encode(), known.encode())


def log_in(request: Request, token_sha256: str) -> None:
    """Begin a session; whatever was in the one before is gone, its form token included."""
    request.session.clear()
    request.session["token_sha256"] = token_sha256


def say_next(request: Request, message: str) -> None:
    """Leave a message for the page that comes next."""
    request.session["said"] = message


def said(request: Request) -> str:
    """The message left for this page; it is shown once."""
    return str(request.session.pop("said", ""))


async def _own_form(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        HTTPException: Another site sent it.
    """
    if not is_from_here(request):
        raise HTTPException(403, "This form was sent by another site, so nothing was done.")
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def is_from_here(request: Request) -> bool:
    """Whether the browser says that a page of ours sent the request; one that says nothing is believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        # "none": the person themselves, by reloading.
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


OwnForm = Annotated[dict[str, str], Depends(_own_form)]
