"""The application that `retort feedback serve` serves."""

import logging
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from configs.errors import RetortError
from tasks.feedback.store.database import Database, FeedbackStoreError
from tasks.feedback.web.api import API
from tasks.feedback.web.guard import Guard, Settings
from tasks.feedback.web.judging import AlreadyJudgedError, Judging, nobody_listens
from tasks.feedback.web.pages import add_pages
from tasks.feedback.web.refusals import refuse

MOST_ERRORS = 5


def make_app(
    database: Database, settings: Settings, on_stored: Callable[[int], None] = nobody_listens
) -> FastAPI:
    """The pages and the API on a feedback store; whoever has a token may judge.

    It has no pages that describe the API: they would load scripts from elsewhere.

    Args:
        database: Of the store.
        settings: How much the server takes.
        on_stored: Told how many judgements were stored, once they are; it must return at once.
    """
    app = FastAPI(title="Retort feedback", docs_url=None, redoc_url=None, openapi_url=None)
    # Added first, so inside of all that is added later: it sees the session.
    app.add_middleware(Guard, settings=settings)
    # One for both: it knows who is looking at what.
    judging = Judging(database, on_stored)
    app.include_router(API(database, judging).router())
    add_pages(app, database, judging)
    app.add_exception_handler(RetortError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _failed)
    return app


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RetortError)
    if isinstance(error, FeedbackStoreError):
        # Where the store is, is nothing for annotators.
        logging.getLogger(__name__).error("%s", error)
        return refuse(request, 503, ["The feedback store does not answer. Try again."])
    status = 409 if isinstance(error, AlreadyJudgedError) else 422
    return refuse(request, status, [str(problem) for problem in error.problems])


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not sent back.
    told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:MOST_ERRORS]]
    return refuse(request, 422, told)


def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refuse(request, error.status_code, [error.detail], error.headers)
