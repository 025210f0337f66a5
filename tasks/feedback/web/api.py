"""The JSON API: what a program does for an annotator, by the annotator's token."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tasks.feedback.judgements import Judgement, Text
from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database
from tasks.feedback.web.guard import bearer
from tasks.feedback.web.judging import Judging, Task

NONE_WAITS = 204


class Judged(BaseModel):
    """A judgement as it is sent.

    Attributes:
        comparison: Id of what was judged.
        order: `order` of the comparison as it was given.
        judgement: Of the answers in the order in which they were given.
        comment: What the annotator adds.
        key: Random; the same when the same judgement is sent again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    comparison: str = Field(min_length=1, max_length=64)
    order: tuple[int, ...] = Field(max_length=6)
    judgement: Judgement
    comment: Text = ""
    key: Text = Field(min_length=8, max_length=128)


class API:
    """What an annotator's program may ask for."""

    def __init__(self, database: Database, judging: Judging) -> None:
        self._annotators = Annotators(database)
        self._judging = judging

    def router(self) -> APIRouter:
        """All addresses."""
        router = APIRouter(prefix="/api")
        router.get("/next", response_model=None)(self.next)
        router.get("/progress", response_model=None)(self.progress)
        router.post("/judgements", response_model=None, status_code=201)(self.judge)
        router.post("/undo", response_model=None)(self.undo)
        return router

    def next(self, request: Request) -> dict[str, Any] | Response:
        """The comparison that comes next; 204 if none waits."""
        return _answer(self._judging.next(self._who(request)))

    def progress(self, request: Request) -> dict[str, int]:
        """How many comparisons are done, and how many wait."""
        return asdict(self._judging.progress(self._who(request)))

    def judge(self, request: Request, judged: Judged) -> dict[str, Any]:
        """Store a judgement: it is on the disk when this is answered, once, however often it is sent."""
        event = self._judging.submit(
            self._who(request), judged.comparison, judged.order, judged.judgement, judged.comment, judged.key
        )
        return {"id": event.id, "created_at": event.created_at}

    def undo(self, request: Request) -> dict[str, Any] | Response:
        """Take the last judgement back; the comparison that it was of, or 204."""
        return _answer(self._judging.undo(self._who(request)))

    def _who(self, request: Request) -> str:
        token = bearer(request)
        annotator = self._annotators.identify(token) if token else None
        if annotator is None:
            raise HTTPException(
                401,
                "`Authorization: Bearer TOKEN` with a token that is valid.",
                {"WWW-Authenticate": "Bearer"},
            )
        return annotator


def _answer(task: Task | None) -> dict[str, Any] | Response:
    return asdict(task) if task is not None else Response(status_code=NONE_WAITS)
