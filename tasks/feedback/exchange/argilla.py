"""Argilla's records: rankings, ratings, labels and texts of several users.

What they look like is taken from these files of github.com/argilla-io/argilla:

    HTTP API        argilla-server/src/argilla_server/api/schemas/v1/responses.py: `responses` is a list of
                    user_id, status, values; a ranking is a list of value and rank, and equal ranks tie
    SDK 2, to_json  argilla/src/argilla/records/_resource.py: `responses` is a dict of questions
    SDK 2, to_list  argilla/src/argilla/records/_io/_generic.py: `QUESTION.responses`, `.users`, `.status`
    SDK 1, datasets argilla-v1/src/argilla_v1/client/feedback/integrations/huggingface/dataset.py: a column a
                    question, each a list of user_id, value, status

SDK 2 drops the ranks of a ranking (argilla/src/argilla/responses.py, __ranking_from_model_value) and keeps
the order in which the options were declared. Such a list says neither who won nor who tied, so it is set
aside: take rankings from the HTTP API. Its to_json drops the status too; there everything is taken as
submitted, and counted as such. A discarded response is a skip; a draft is no judgement yet.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.cells import as_mark, as_rank
from tasks.feedback.exchange.labels import answer_fields, answer_place, prompt_field
from tasks.feedback.exchange.marks import Marks, events_of, keep
from tasks.feedback.exchange.reading import Bad, BadRow, Found, Reading, Remark, parsed
from tasks.feedback.exchange.said import Said
from tasks.feedback.exchange.texts import prompt_text, with_context
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Skip, Thumbs

SUFFIX = ".responses"
KEPT = "retort"
COMMENTS = ("comment", "comments", "reason", "rationale", "explanation", "feedback", "notes")
NO_STATUS = "a response without a status, taken as submitted"


@dataclass(frozen=True)
class _Response:
    """What one user answered to the questions of a record."""

    user: str
    status: str
    values: dict[str, Any]


def read_record(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """The events of all responses to a record; suggestions are nobody's judgement."""
    fields, responses = _parts(values)
    if not responses:
        yield Remark("a record without responses")
        return
    metadata = values.get("metadata")
    metadata = parsed(metadata, "metadata", dict) if metadata else {}
    said, names, kept = _question(values, fields, metadata, reading)
    for response in responses:
        try:
            yield from _read_response(response, said, names, kept, reading)
        except BadRow as error:
            yield Bad(str(error))


def record_of(event: FeedbackEvent) -> dict[str, Any]:
    """An event as the HTTP API takes a record with one response."""
    texts = {f"answer-{place}": answer.text for place, answer in enumerate(event.answers, 1)}
    answers = _values(event.judgement)
    if event.comment:
        answers["comment"] = event.comment
    response = {
        "user_id": _user_id(event.annotator),
        "status": "discarded" if isinstance(event.judgement, Skip) else "submitted",
        "values": {question: {"value": value} for question, value in answers.items()},
    }
    return {
        "external_id": event.id,
        "fields": {"prompt": event.prompt} | texts,
        "metadata": {"row": event.row, "task": event.task, KEPT: json.dumps(keep(event))},
        "responses": [response],
    }


def records_text(events: Iterable[FeedbackEvent]) -> str:
    """Events as a JSON list of records."""
    return json.dumps([record_of(event) for event in events], ensure_ascii=False, indent=1)


def why_not_in_argilla(event: FeedbackEvent) -> str:
    """Why Argilla cannot hold an event; empty if it can."""
    judgement = event.judgement
    if isinstance(judgement, Ranking):
        if None in judgement.ranks:
            return "a ranking with F"
        if any(rank is not None and rank > len(judgement.ranks) for rank in judgement.ranks):
            return "a rank beyond the number of answers"
    if isinstance(judgement, Ratings) and any(mark % 1 for mark in judgement.ratings):
        return "marks between two whole numbers"
    return ""


def _values(judgement: Judgement) -> dict[str, Any]:
    if isinstance(judgement, Ranking):
        ranks = enumerate(judgement.ranks, 1)
        return {"ranking": [{"value": f"answer-{place}", "rank": rank} for place, rank in ranks]}
    if isinstance(judgement, Choice):
        return {"preference": "tie" if judgement.chosen is None else f"answer-{judgement.chosen + 1}"}
    if isinstance(judgement, Ratings):
        return {f"rating-{place}": int(mark) for place, mark in enumerate(judgement.ratings, 1)}
    if isinstance(judgement, Thumbs):
        return {f"thumb-{place}": "up" if up else "down" for place, up in enumerate(judgement.up, 1)}
    if isinstance(judgement, Correction):
        return {f"correction-{judgement.corrected + 1}": judgement.text}
    return {}


def _parts(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[_Response]]:
    """The fields of a record and its responses, whichever of the four forms it has."""
    responses = values.get("responses")
    if isinstance(responses, dict):
        return parsed(values.get("fields"), "fields", dict), _by_user(_each(responses))
    if "fields" in values:
        listed = [parsed(one, "response", dict) for one in parsed(responses or [], "responses", list)]
        return parsed(values["fields"], "fields", dict), [_response(one) for one in listed]
    flat = [name.removesuffix(SUFFIX) for name in values if name.endswith(SUFFIX)]
    if flat:
        return dict(values), _by_user(_flattened(values, flat))
    asked = {name: rows for name, value in values.items() if (rows := _rows(value)) is not None}
    return {name: value for name, value in values.items() if name not in asked}, _by_user(_each(asked))


_One = tuple[str, str, str, Any]  # user, status, question, value


def _each(by_question: Mapping[str, Any]) -> Iterator[_One]:
    for question, found in by_question.items():
        for one in parsed(found, question, list):
            one = parsed(one, question, dict)
            yield str(one.get("user_id") or ""), str(one.get("status") or ""), question, one.get("value")


def _flattened(values: Mapping[str, Any], questions: Sequence[str]) -> Iterator[_One]:
    for question in questions:
        name = question + SUFFIX
        given = parsed(values[name] or [], name, list)
        users = parsed(values.get(f"{name}.users") or [""] * len(given), f"{name}.users", list)
        states = parsed(values.get(f"{name}.status") or [""] * len(given), f"{name}.status", list)
        if not len(given) == len(users) == len(states):
            raise BadRow(f"{len(given)} values, {len(users)} users and {len(states)} states of `{question}`")
        for value, user, status in zip(given, users, states, strict=True):
            yield str(user or ""), str(status or ""), question, value


def _rows(value: Any) -> list[dict[str, Any]] | None:
    """The responses in a column of SDK 1, which `datasets` may keep as columns; None if it holds none."""
    if isinstance(value, dict) and {"user_id", "value"} <= value.keys() and isinstance(value["value"], list):
        size = len(value["value"])
        return [{name: column[place] for name, column in value.items()} for place in range(size)]
    is_rows = isinstance(value, list) and all(isinstance(one, dict) and "user_id" in one for one in value)
    return value if value and is_rows else None


def _by_user(found: Iterable[_One]) -> list[_Response]:
    users: dict[tuple[str, str], dict[str, Any]] = {}
    for user, status, question, value in found:
        users.setdefault((user, status), {})[question] = value
    return [_Response(user, status, values) for (user, status), values in users.items()]


def _response(given: Mapping[str, Any]) -> _Response:
    values = parsed(given.get("values") or {}, "values", dict)
    inner = {name: value["value"] if isinstance(value, dict) else value for name, value in values.items()}
    return _Response(str(given.get("user_id") or ""), str(given.get("status") or ""), inner)


def _question(
    values: Mapping[str, Any], fields: Mapping[str, Any], metadata: Mapping[str, Any], reading: Reading
) -> tuple[Said, list[str], Any]:
    names, kept = reading.names, metadata.get(KEPT)
    prompt_name = prompt_field(list(fields), names)
    answers = answer_fields(list(fields), names)
    if not all(isinstance(fields[name], str) for name in answers):
        raise BadRow(f"an answer among {', '.join(answers)} is not text")
    prompt = fields[prompt_name] if kept else prompt_text(fields[prompt_name], prompt_name)
    own = next((str(values[name]) for name in ("external_id", "id", "_server_id") if values.get(name)), "")
    said = Said(
        prompt=with_context(names.value(fields, "context"), prompt, names.of("context")),
        answers=tuple(fields[name] for name in answers),
        judgement=Skip(),
        own=own,
        row=str(metadata.get(names.of("row"), "")) if kept or "row" in names.given else "",
        task=str(metadata.get(names.of("task"), "")),
    )
    return said, answers, json.loads(kept) if isinstance(kept, str) else kept


def _read_response(
    response: _Response, said: Said, fields: Sequence[str], kept: Any, reading: Reading
) -> Iterator[Found]:
    if response.status == "draft":
        yield Remark("a draft")
        return
    if not response.status:
        yield Remark(NO_STATUS)
    marks = Marks()
    for question, value in response.values.items():
        if value is not None:
            _note(question, value, marks, fields, reading)
    if response.status == "discarded":
        marks = Marks(comments=marks.comments, has_skipped=True)
    elif response.status not in ("", "submitted"):
        raise BadRow(f"a response with the status `{response.status}`")
    annotator = response.user
    if isinstance(kept, dict) and _user_id(str(kept.get("annotator"))) == annotator:
        annotator = str(kept["annotator"])
    found = list(events_of(marks, replace(said, annotator=annotator), reading, kept))
    if not found:
        raise BadRow("a response that says nothing of the answers")
    yield from found


def _note(question: str, value: Any, marks: Marks, fields: Sequence[str], reading: Reading) -> None:
    about = _about(question, fields)
    if isinstance(value, dict) and value.keys() == {"rank", "value"}:
        value = [
            {"rank": rank, "value": name} for rank, name in zip(value["rank"], value["value"], strict=True)
        ]
    if isinstance(value, list):
        marks.ranks = _ranks(question, value, fields)
    elif isinstance(value, str):
        _note_text(question, value, about, marks, fields, reading)
    elif about is None:
        raise BadRow(f"rating `{question}` does not say which of the {len(fields)} answers it is about")
    else:
        marks.ratings[about] = as_mark(value, question)


def _note_text(
    question: str, text: str, about: int | None, marks: Marks, fields: Sequence[str], reading: Reading
) -> None:
    given = reading.names.given
    if question in [name.strip() for name in given.get("comment", ",".join(COMMENTS)).split(",")]:
        marks.comments.append(text)
    elif question == given.get("correction") or question.casefold().startswith("correct"):
        if about is None:
            raise BadRow(f"`{question}` does not say which of the {len(fields)} answers it mends")
        marks.corrections[about] = text
    else:
        marks.label(text, reading, fields, about)


def _about(question: str, fields: Sequence[str]) -> int | None:
    """Which answer a question is about: the only one, the one it names, or the one of its number."""
    if len(fields) == 1:
        return 0
    named = max((name for name in fields if name in question), key=len, default=question)
    return answer_place(named, fields)


def _ranks(question: str, value: Sequence[Any], fields: Sequence[str]) -> tuple[int | None, ...]:
    if not all(isinstance(one, dict) and {"rank", "value"} <= one.keys() for one in value):
        raise BadRow(
            f"`{question}` is a list without ranks, from which ties cannot be told; use the HTTP API"
        )
    places = [answer_place(str(one["value"]), fields) for one in value]
    if sorted(place for place in places if place is not None) != list(range(len(fields))):
        raise BadRow(f"`{question}` does not rank each of {', '.join(fields)} once")
    ranks = {place: as_rank(one["rank"] or "", question) for place, one in zip(places, value, strict=True)}
    return tuple(ranks[place] for place in range(len(fields)))


def _user_id(annotator: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"retort:{annotator}"))
