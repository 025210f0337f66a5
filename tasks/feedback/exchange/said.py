"""From what an annotator said in another tool to an event: its id, and its limits."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.exchange.reading import BadRow, Reading
from tasks.feedback.judgements import Judgement

PREFIX = "import-"
KEY_DIGITS, CONTENT_DIGITS = 24, 16
UNKNOWN_MODEL = "unknown"


@dataclass(frozen=True)
class Said:
    """A judgement as another tool holds it.

    Attributes:
        prompt: The context and the question.
        answers: In the order of display.
        judgement: What was said of them.
        annotator: The tool's name for who said it; empty if it has none.
        own: The tool's id of the judgement; empty if it has none.
        models: Who wrote each answer; empty if the tool does not say.
        row: Id of the question; empty if it is to be known by its text.
    """

    prompt: str
    answers: tuple[str, ...]
    judgement: Judgement
    annotator: str = ""
    own: str = ""
    models: tuple[str, ...] = ()
    row: str = ""
    task: str = ""
    comment: str = ""
    created_at: str | None = field(default=None)


def event_of(said: Said, reading: Reading) -> FeedbackEvent:
    """The event of a judgement.

    Its id is a digest: of the content and the annotator where the tool has no id of its own; else of that
    id, the question, the answers and the annotator, followed by one of the judgement. So what was read
    before is known again, and what has been changed since can be told to replace it. What stands in it for
    the annotator nobody can guess from a name.

    Raises:
        BadRow: It is no event that could be kept.
    """
    models = said.models or (UNKNOWN_MODEL,) * len(said.answers)
    if len(models) != len(said.answers):
        raise BadRow(f"{len(models)} models for {len(said.answers)} answers")
    try:
        event = FeedbackEvent(
            id=_id_of(said, reading),
            row=said.row or PREFIX + _digest(said.prompt)[:CONTENT_DIGITS],
            task=said.task,
            prompt=said.prompt,
            answers=tuple(
                Shown(text=text, model=model, stopped=True)
                for text, model in zip(said.answers, models, strict=True)
            ),
            judgement=said.judgement,
            annotator=reading.pseudonyms.shown(said.annotator) if said.annotator else reading.annotator,
            comment=said.comment,
            created_at=said.created_at,
            source="import",
            simulated=reading.simulated,
        )
    except ValidationError as error:
        raise BadRow(what_is_wrong(error)) from None
    check_time(event)
    return event


def key_of(id: str) -> str | None:
    """The part of an id that stays when an annotator changes their mind; None if the source had no id."""
    key, _, content = id.removeprefix(PREFIX).partition("-")
    return PREFIX + key if id.startswith(PREFIX) and content else None


def check_time(event: FeedbackEvent) -> None:
    """Refuse an event whose time is none; what else a database could not hold, the event itself refuses.

    Raises:
        BadRow: `created_at` is no time.
    """
    if event.created_at is not None:
        as_time(event.created_at)


def as_time(value: Any) -> str | None:
    """A time in ISO 8601.

    Raises:
        BadRow: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, date):
        return value.isoformat()
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadRow(f"the time is {str(value)[:40]!r}, not ISO 8601") from None
    return str(value)


def what_is_wrong(error: ValidationError) -> str:
    """All that pydantic found, in one line and without the values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, part['loc'])) or 'event'}: {part['msg']}" for part in found)


def _id_of(said: Said, reading: Reading) -> str:
    if not said.annotator:
        return _id(said, reading.annotator)
    return reading.pseudonyms.id_of(said.annotator, lambda who: _id(said, who))


def _id(said: Said, annotator: str) -> str:
    shown = [annotator, said.prompt, *said.answers]
    judged = said.judgement.model_dump_json()
    if not said.own:
        return PREFIX + _digest(*shown, judged)[: KEY_DIGITS + CONTENT_DIGITS]
    content = _digest(judged, said.comment)[:CONTENT_DIGITS]
    return f"{PREFIX}{_digest(said.own, *shown)[:KEY_DIGITS]}-{content}"


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def display_order(prompt: str, texts: Sequence[str]) -> list[int]:
    """An order for answers whose true one is not known: by a digest, so that it says nothing of them."""
    return sorted(range(len(texts)), key=lambda place: _digest(prompt, texts[place]))
