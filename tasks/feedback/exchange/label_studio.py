"""Label Studio's JSON export: pairwise and ranker projects, and ratings, labels and texts beside them.

What it looks like is taken from these files of github.com/HumanSignal/label-studio:

    tasks        docs/source/includes/task_format.md, label_studio/data_export/serializers.py
    pairwise     web/libs/editor/src/tags/control/Pairwise.js: `selected` is left or right; a choice that was
                 taken back leaves no result
    ranker       web/libs/editor/src/tags/control/Ranker.jsx: a dict of buckets, or, without buckets, one list
                 under the control's name; in `_` is what was moved to no bucket
    tasks' data  docs/source/templates/generative-pairwise-human-preference.md: prompt, answer1, answer2;
                 generative-llm-ranker.md: prompt, items with id, title, body

A `Ranker` without buckets stores the list as displayed when nobody has touched it; it cannot be told from one
that somebody agreed with. With buckets it can: then all is in `_`, and that is a skip.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.cells import as_mark
from tasks.feedback.exchange.labels import answer_fields, answer_place, prompt_field, rank_of
from tasks.feedback.exchange.marks import Marks, events_of, keep
from tasks.feedback.exchange.reading import Bad, BadRow, Found, Reading, Remark, parsed
from tasks.feedback.exchange.said import Said, as_time
from tasks.feedback.exchange.texts import prompt_text, with_context
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Thumbs

UNSORTED = "_"
SIDES = {"left": 0, "right": 1}
KEPT = "retort"


@dataclass(frozen=True)
class _Task:
    """A task: its question, and its answers under the names that results may call them."""

    said: Said
    fields: tuple[str, ...]
    kept: Any


def read_task(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """The events of all annotations of a task; predictions and drafts are nobody's judgement."""
    annotations = parsed(values.get("annotations"), "annotations", list)
    if not annotations:
        yield Remark("a task without annotations")
        return
    task = _task(values, reading)
    for annotation in annotations:
        try:
            yield from _read_annotation(annotation, task, reading)
        except BadRow as error:
            yield Bad(str(error))


def task_of(event: FeedbackEvent, number: int) -> dict[str, Any]:
    """An event as a task with one annotation; its controls are named as below in `_results`."""
    answers = [answer.text for answer in event.answers]
    data: dict[str, Any] = {"prompt": event.prompt, "row": event.row, "task": event.task, KEPT: keep(event)}
    data |= {f"answer{place}": text for place, text in enumerate(answers, 1)}
    if isinstance(event.judgement, Ranking):
        data["items"] = [
            {"id": str(place), "title": f"Answer {place}", "body": text}
            for place, text in enumerate(answers, 1)
        ]
    results = _results(event.judgement)
    if event.comment:
        results.append(_result("comment", "prompt", "textarea", text=[event.comment]))
    annotation = {
        "id": number,
        "completed_by": {"email": event.annotator},
        "was_cancelled": event.judgement.kind == "skip",
        "created_at": event.created_at,
        "result": results,
    }
    return {"id": number, "data": data, "annotations": [annotation]}


def tasks_text(events: Iterable[FeedbackEvent]) -> str:
    """Events as the JSON that Label Studio imports."""
    tasks = [task_of(event, number) for number, event in enumerate(events, 1)]
    return json.dumps(tasks, ensure_ascii=False, indent=1)


def why_not_in_label_studio(event: FeedbackEvent) -> str:
    """Why Label Studio cannot hold an event; empty if it can."""
    if isinstance(event.judgement, Ratings) and any(mark % 1 for mark in event.judgement.ratings):
        return "marks between two whole numbers of stars"
    return ""


def _results(judgement: Judgement) -> list[dict[str, Any]]:
    if isinstance(judgement, Ranking):
        buckets: dict[str, list[str]] = {}
        for place, rank in enumerate(judgement.ranks, 1):
            buckets.setdefault("F" if rank is None else str(rank), []).append(str(place))
        return [_result("rank", "items", "ranker", ranker=dict(sorted(buckets.items())))]
    if isinstance(judgement, Choice):
        if judgement.chosen is None:
            return [_result("verdict", "prompt", "choices", choices=["tie"])]
        return [_result("comparison", "answer1,answer2", "pairwise", selected=list(SIDES)[judgement.chosen])]
    if isinstance(judgement, Ratings):
        marks = enumerate(judgement.ratings, 1)
        return [_result(f"rating{n}", f"answer{n}", "rating", rating=int(mark)) for n, mark in marks]
    if isinstance(judgement, Thumbs):
        words = enumerate(("up" if up else "down" for up in judgement.up), 1)
        return [_result(f"thumb{n}", f"answer{n}", "choices", choices=[word]) for n, word in words]
    if isinstance(judgement, Correction):
        return [_result("correction", f"answer{judgement.corrected + 1}", "textarea", text=[judgement.text])]
    return []


def _result(control: str, about: str, kind: str, **value: Any) -> dict[str, Any]:
    return {"from_name": control, "to_name": about, "type": kind, "value": value}


def _task(values: Mapping[str, Any], reading: Reading) -> _Task:
    data = parsed(values.get("data"), "data", dict)
    names = reading.names
    prompt_name = prompt_field(list(data), names)
    context = names.value(data, "context")
    kept = data.get(KEPT)
    items = data.get(names.of("items"))
    if isinstance(items, list):
        fields, answers = _items(items)
    else:
        sides = [names.of(side) for side in SIDES]
        fields = sides if all(side in data for side in sides) else answer_fields(list(data), names)
        answers = [data[field] for field in fields]
    if not all(isinstance(answer, str) for answer in answers):
        raise BadRow(f"an answer among {', '.join(fields)} is not text")
    prompt = data[prompt_name] if kept is not None else prompt_text(data[prompt_name], prompt_name)
    said = Said(
        prompt=with_context(context, prompt, names.of("context")),
        answers=tuple(answers),
        judgement=Choice(chosen=None),
        own=f"{values.get('project', '')}/{values.get('id', '')}",
        row=str(names.value(data, "row") or "") if kept is not None or "row" in names.given else "",
        task=str(names.value(data, "task") or ""),
    )
    return _Task(said, tuple(fields), kept)


def _items(items: Sequence[Any]) -> tuple[list[str], list[Any]]:
    if not all(isinstance(item, dict) and "id" in item for item in items):
        raise BadRow("an item of the list has no id")
    texts = [next((item[name] for name in ("body", "html", "title") if name in item), None) for item in items]
    return [str(item["id"]) for item in items], texts


def _read_annotation(annotation: Any, task: _Task, reading: Reading) -> Iterator[Found]:
    annotation = parsed(annotation, "annotation", dict)
    results = parsed(annotation.get("result"), "result", list)
    marks = Marks()
    for result in results:
        _note(parsed(result, "result", dict), marks, task, reading)
    if annotation.get("was_cancelled") or not results:
        marks = Marks(comments=marks.comments, has_skipped=True)
    said = replace(
        task.said,
        annotator=_annotator(annotation.get("completed_by")),
        own=f"{task.said.own}/{annotation.get('id', '')}",
        created_at=as_time(annotation.get("created_at")),
    )
    found = list(events_of(marks, said, reading, task.kept))
    if not found:
        raise BadRow("an annotation that says nothing of the answers")
    yield from found


def _note(result: Mapping[str, Any], marks: Marks, task: _Task, reading: Reading) -> None:
    value, kind = parsed(result.get("value"), "result.value", dict), result.get("type")
    about = answer_place(str(result.get("to_name", "")), task.fields)
    if kind == "pairwise":
        if value.get("selected") not in SIDES:
            raise BadRow(f"`selected` is {value.get('selected')!r}, neither left nor right")
        marks.choices.append(SIDES[value["selected"]])
    elif kind == "ranker":
        marks.ranks = _ranks(value.get("ranker"), str(result.get("from_name")), task, reading)
        marks.has_skipped = marks.has_skipped or marks.ranks is None
    elif kind == "rating":
        if about is None and len(task.fields) > 1:
            raise BadRow(f"a rating of `{result.get('to_name')}`, which is none of the answers")
        marks.ratings[about or 0] = as_mark(value.get("rating"), "rating")
    elif kind == "choices":
        for label in parsed(value.get("choices"), "choices", list):
            marks.label(str(label), reading, task.fields, about)
    elif kind == "textarea":
        _note_text(value, str(result.get("from_name")), about, marks, task, reading)
    else:
        raise BadRow(f"a result of type `{kind}`, which says nothing of answers that we could read")


def _note_text(
    value: Mapping[str, Any], control: str, about: int | None, marks: Marks, task: _Task, reading: Reading
) -> None:
    written = value.get("text")
    text = "\n".join(map(str, written)) if isinstance(written, list) else str(written)
    if control != reading.names.of("correction"):
        marks.comments.append(text)
    elif about is None and len(task.fields) > 1:
        raise BadRow("a correction that does not say which answer it mends")
    else:
        marks.corrections[about or 0] = text


def _ranks(ranker: Any, control: str, task: _Task, reading: Reading) -> tuple[int | None, ...] | None:
    """A rank for each item; None if nobody moved any."""
    found = {control: ranker} if isinstance(ranker, list) else parsed(ranker, "ranker", dict)
    buckets = {name: [str(item) for item in parsed(items, name, list)] for name, items in found.items()}
    if set(buckets) == {control}:
        ranks: dict[str, int | None] = {item: place for place, item in enumerate(buckets[control], 1)}
    else:
        unsorted = buckets.pop(UNSORTED, [])
        ranks = {item: rank_of(name, reading.names) for name, items in buckets.items() for item in items}
        if not ranks:
            return None
        if unsorted:
            raise BadRow(f"{len(unsorted)} of {len(task.fields)} answers were moved to no bucket")
    if sorted(item for items in buckets.values() for item in items) != sorted(task.fields):
        raise BadRow(f"a ranking of {', '.join(ranks)}, but the answers are {', '.join(task.fields)}")
    return tuple(ranks[field] for field in task.fields)


def _annotator(completed_by: Any) -> str:
    """The e-mail of the user, or the id that the tool gave them; empty if it does not say."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    if completed_by is None:
        return ""
    return f"label-studio:{completed_by}" if isinstance(completed_by, int) else str(completed_by)
