"""Tables of judgements, whose columns `--map OURS=THEIRS` names: one reader a kind of judgement.

    pairs        prompt, chosen, rejected; where `tie` is true the two are equally good
    comparisons  prompt, answers, preferences: one for each two answers, in the order of combinations
    ratings      prompt, answers, ratings; or one answer a row: answer, rating
    thumbs       prompt, answers, up; or one answer a row: answer, up
    rankings     prompt, answers, ranks; or one answer a row: answer, rank. F, or null in a list, is a fail

Where there is one answer a row, the rows with the same `group` are one judgement (gather.py).

All of them may have context, annotator, id, row, task, comment, created_at, and skip, which is true where the
annotator could not judge. The names of `pairs` are those of https://huggingface.co/docs/trl/dataset_formats.

A table of chosen and rejected answers does not say in which order they were displayed. They are put in an
order that depends on the texts alone: were the chosen one always the first, a model would learn that.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal

from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.cells import as_mark, as_rank, as_truth, spread
from tasks.feedback.exchange.reading import Bad, BadRow, Found, Names, Reading, Remark, parsed
from tasks.feedback.exchange.said import Said, as_time, display_order, event_of, what_is_wrong
from tasks.feedback.exchange.texts import answer_text, prompt_text, with_context
from tasks.feedback.judgements import Choice, Judgement, Ranking, Ratings, Skip, Thumbs
from tasks.feedback.pairs import pairs_of

COMMON = ("prompt", "context", "annotator", "id", "row", "task", "comment", "created_at", "skip")
# Tie, the first of the two, the second.
PREFERENCES: dict[int, Literal[0, 1] | None] = {0: None, 1: 0, 2: 1}


def read_pair(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """A choice between two answers, or a tie."""
    names = reading.names
    texts = [answer_text(names.value(values, side), names.of(side)) for side in ("chosen", "rejected")]
    tie = as_truth(names.value(values, "tie"), names.of("tie"))
    skip = as_truth(names.value(values, "skip"), names.of("skip"))
    said = _asked(values, names, texts)
    if texts[0] == texts[1] and not tie and not skip:
        raise BadRow("the chosen and the rejected answer are the same text")
    order = display_order(said.prompt, texts)
    models = _models(values, names, ("chosen_model", "rejected_model"))
    judgement = Skip() if skip else Choice(chosen=None if tie else 0 if order[0] == 0 else 1)
    yield event_of(
        replace(
            said,
            answers=tuple(texts[place] for place in order),
            models=tuple(models[place] for place in order) if len(models) == 2 else (),
            judgement=judgement,
        ),
        reading,
    )


def read_comparisons(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Choices between each two of k answers: 0 is a tie, 1 means the first, 2 the second."""
    names = reading.names
    said = _asked(values, names, _texts(values, names))
    found = parsed(names.value(values, "preferences"), names.of("preferences"), list)
    pairs = list(combinations(range(len(said.answers)), 2))
    if len(found) != len(pairs):
        raise BadRow(f"{len(found)} preferences, but {len(pairs)} pairs of {len(said.answers)} answers")
    unknown = [value for value in found if not isinstance(value, int | None) or value not in (None, 0, 1, 2)]
    if unknown:
        raise BadRow(f"a preference is {unknown[0]!r}, not 0 (tie), 1 (first) or 2 (second)")
    for preference, two in zip(found, pairs, strict=True):
        if preference is None:
            yield Remark("a pair without a preference")
            continue
        texts = tuple(said.answers[place] for place in two)
        if texts[0] == texts[1] and preference:
            yield Bad(f"answers {two[0] + 1} and {two[1] + 1} are the same text, but one was preferred")
            continue
        own = f"{said.own}:{two[0]}-{two[1]}" if said.own else ""
        choice = Choice(chosen=PREFERENCES[preference])
        yield event_of(replace(said, answers=texts, own=own, judgement=choice), reading)


def read_ratings(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Marks of one or more answers, moved to our scale in a straight line: 1 to 5."""

    def judge(marks: Sequence[Any], name: str) -> Judgement:
        low, high = reading.scale
        return Ratings(ratings=tuple(spread(as_mark(mark, name), low, high, name) for mark in marks))

    yield _marked(values, reading, "ratings", judge)


def read_thumbs(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """Thumbs of one or more answers."""

    def judge(marks: Sequence[Any], name: str) -> Judgement:
        up = [as_truth(mark, name) for mark in marks]
        if None in up:
            raise BadRow(f"`{name}` is missing for an answer")
        return Thumbs(up=tuple(bool(value) for value in up))

    yield _marked(values, reading, "up", judge)


def read_ranking(values: Mapping[str, Any], reading: Reading) -> Iterator[Found]:
    """A ranking with ties and fails."""

    def judge(marks: Sequence[Any], name: str) -> Judgement:
        return Ranking(ranks=tuple(as_rank(mark, name) for mark in marks))

    yield _marked(values, reading, "ranks", judge)


def pairs_text(events: Iterable[FeedbackEvent]) -> str:
    """The preferences of events as JSON lines of prompt, chosen and rejected, and where they come from."""
    lines = []
    for event in events:
        origin = {"row": event.row, "task": event.task, "annotator": event.annotator, "event": event.id}
        lines += [
            {"prompt": event.prompt, "chosen": pair.chosen, "rejected": pair.rejected} | origin
            for pair in pairs_of(event)
        ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def why_no_pairs(event: FeedbackEvent) -> str:
    """Why an event holds no preference; empty if it holds one."""
    if pairs_of(event):
        return ""
    return "a skip" if isinstance(event.judgement, Skip) else f"no preference in the {event.judgement.kind}"


def _marked(
    values: Mapping[str, Any],
    reading: Reading,
    field: str,
    judge: Callable[[Sequence[Any], str], Judgement],
) -> FeedbackEvent:
    names = reading.names
    said = _asked(values, names, _texts(values, names))
    if as_truth(names.value(values, "skip"), names.of("skip")):
        return event_of(replace(said, judgement=Skip()), reading)
    marks = parsed(names.value(values, field), names.of(field), list)
    if len(marks) != len(said.answers):
        raise BadRow(f"{len(marks)} {names.of(field)} for {len(said.answers)} answers")
    try:
        judgement = judge(marks, names.of(field))
    except ValidationError as error:
        raise BadRow(what_is_wrong(error)) from None
    return event_of(replace(said, judgement=judgement), reading)


def _texts(values: Mapping[str, Any], names: Names) -> list[str]:
    found = parsed(names.value(values, "answers"), names.of("answers"), list)
    return [answer_text(text, f"{names.of('answers')}.{number}") for number, text in enumerate(found, 1)]


def _asked(values: Mapping[str, Any], names: Names, answers: Sequence[str]) -> Said:
    """All but the judgement."""
    prompt = prompt_text(names.value(values, "prompt"), names.of("prompt"))
    return Said(
        prompt=with_context(names.value(values, "context"), prompt, names.of("context")),
        answers=tuple(answers),
        judgement=Skip(),
        annotator=_short(values, names, "annotator"),
        own=_short(values, names, "id"),
        models=_models(values, names, ("models",)),
        # A foreign column of that name would put questions together that have nothing in common.
        row=_short(values, names, "row") if "row" in names.given else "",
        task=_short(values, names, "task"),
        comment=_short(values, names, "comment"),
        created_at=as_time(names.value(values, "created_at")),
    )


def _short(values: Mapping[str, Any], names: Names, field: str) -> str:
    value = names.value(values, field)
    if not isinstance(value, str | int | None) or isinstance(value, bool):
        raise BadRow(f"`{names.of(field)}` is {type(value).__name__}, neither text nor a whole number")
    return "" if value is None else str(value)


def _models(values: Mapping[str, Any], names: Names, fields: tuple[str, ...]) -> tuple[str, ...]:
    if fields == ("models",):
        found = names.value(values, "models")
        return () if found is None else tuple(map(str, parsed(found, names.of("models"), list)))
    return tuple(str(value) for name in fields if (value := names.value(values, name)) is not None)
