"""What one annotator said with all the controls of a labelling tool, and the events that it comes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.cells import spread
from tasks.feedback.exchange.labels import meaning
from tasks.feedback.exchange.reading import BadRow, Reading
from tasks.feedback.exchange.said import Said, check_time, event_of
from tasks.feedback.judgements import Choice, Correction, Judgement, Ranking, Ratings, Skip, Thumbs

T = TypeVar("T")


@dataclass
class Marks:
    """What was said of the answers to one question.

    Attributes:
        choices: Who was said to be the better one; None for a tie.
        ranks: A rank for each answer; None if nobody ranked them.
        ratings: The mark of each answer that has one.
        thumbs: The thumb of each answer that has one.
        corrections: What was written in place of an answer.
        comments: Whatever else was written.
        has_skipped: Whether they said that they could not judge.
    """

    choices: list[int | None] = field(default_factory=list)
    ranks: tuple[int | None, ...] | None = None
    ratings: dict[int, float] = field(default_factory=dict)
    thumbs: dict[int, bool] = field(default_factory=dict)
    corrections: dict[int, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)
    has_skipped: bool = False

    def label(self, label: str, reading: Reading, fields: Sequence[str], about: int | None) -> None:
        """Note a label that was picked.

        Args:
            label: The label.
            reading: How the source is to be understood.
            fields: The answers' fields, in the order of display.
            about: The place of the answer that it is about; None if it is about all.

        Raises:
            BadRow: Nothing says what it means.
        """
        word = meaning(label, reading.names, fields)
        if word == "skip":
            self.has_skipped = True
        elif word == "tie" or isinstance(word, int):
            self.choices.append(None if word == "tie" else word)
        elif about is None and len(fields) > 1:
            raise BadRow(f"label `{label}` does not say which of the {len(fields)} answers it is about")
        else:
            self.thumbs[about or 0] = word == "up"

    def judgements(self, answers: int, scale: tuple[float, float]) -> list[Judgement]:
        """The judgements of k answers that all of it comes to, one of a kind.

        Raises:
            BadRow: It contradicts itself, or leaves an answer out.
        """
        found: list[Judgement] = []
        if self.ranks is not None:
            found.append(Ranking(ranks=self.ranks))
        if self.choices:
            found.append(_choice(self.choices, answers))
        if self.ratings:
            marks = _of_each(self.ratings, answers, "a rating")
            found.append(Ratings(ratings=tuple(spread(mark, *scale, "rating") for mark in marks)))
        if self.thumbs:
            found.append(Thumbs(up=_of_each(self.thumbs, answers, "a thumb")))
        found += [Correction(corrected=place, text=text) for place, text in self.corrections.items()]
        if self.has_skipped and found:
            raise BadRow(f"skipped, and judged by {found[0].kind}")
        return [Skip()] if self.has_skipped else found


def events_of(marks: Marks, said: Said, reading: Reading, kept: Any) -> Iterator[FeedbackEvent]:
    """The events of all that an annotator said.

    Args:
        marks: What they said.
        said: Of what, and who they are.
        reading: How the source is to be understood.
        kept: What `keep` gave when the question was exported; None if it never was.

    Raises:
        BadRow: It cannot be understood.
    """
    try:
        judgements = marks.judgements(len(said.answers), reading.scale)
    except ValidationError as error:
        raise BadRow("; ".join(part["msg"] for part in error.errors())) from None
    said = replace(said, comment="\n".join(marks.comments))
    for number, judgement in enumerate(judgements):
        one = replace(said, judgement=judgement, own=f"{said.own}:{number}" if number else said.own)
        yield _unchanged(kept, one) or event_of(one, reading)


def keep(event: FeedbackEvent) -> dict[str, Any]:
    """What another tool has no place for, to travel beside what it has."""
    rest = event.model_dump(mode="json", exclude={"prompt", "answers"})
    return rest | {"answers": [answer.model_dump(exclude={"text"}) for answer in event.answers]}


def _unchanged(kept: Any, said: Said) -> FeedbackEvent | None:
    """The event that was exported, if that is what the tool still says; None if it is another one."""
    try:
        shown = zip(kept["answers"], said.answers, strict=True)
        answers = [rest | {"text": text} for rest, text in shown]
        event = FeedbackEvent.model_validate(kept | {"prompt": said.prompt, "answers": answers})
    except (TypeError, KeyError, ValueError):
        return None
    check_time(event)
    is_same = (
        event.judgement == said.judgement
        or isinstance(event.judgement, Skip)
        and isinstance(said.judgement, Skip)
    )
    return event if is_same and (event.annotator, event.comment) == (said.annotator, said.comment) else None


def _choice(choices: Sequence[int | None], answers: int) -> Choice:
    if answers != 2:
        raise BadRow(f"one picked of {answers} answers, which says nothing of the others")
    if len(set(choices)) > 1:
        raise BadRow("two choices that contradict each other")
    return Choice(chosen=None if choices[0] is None else 0 if choices[0] == 0 else 1)


def _of_each(marks: dict[int, T], answers: int, what: str) -> tuple[T, ...]:
    missing = [place + 1 for place in range(answers) if place not in marks]
    if missing:
        raise BadRow(f"answer {missing[0]} of {answers} has not been given {what}")
    return tuple(marks[place] for place in range(answers))
