"""What waits for judgement: answers to a question, and who is to see them next."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, case, delete, func, select

from tasks.feedback.events import Shown
from tasks.feedback.judgements import Text
from tasks.feedback.store.database import Database, now
from tasks.feedback.store.standing import asked_and_answered, stands
from tasks.feedback.store.tables import ComparisonRow, EventRow

# One direction for both, as the index has it: the first is found without a look at all others.
FIRST = (ComparisonRow.priority.desc(), ComparisonRow.id.desc())


class Comparison(BaseModel):
    """Answers to one question that are to be compared.

    Attributes:
        row: Id of the question.
        task: Its family.
        prompt: The context and the question as shown.
        answers: Two to six, in no order that means anything.
        priority: The highest is put first.
        wanted: How many annotators are to judge it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: Text = Field(min_length=1)
    task: Text = ""
    prompt: Text
    answers: tuple[Shown, ...] = Field(min_length=2, max_length=6)
    priority: float = Field(default=0, allow_inf_nan=False)
    wanted: int = Field(default=1, ge=1, le=1000)

    @property
    def id(self) -> str:
        """A digest of the question and its answers: the same comparison has the same id."""
        answers = sorted(answer.model_dump_json() for answer in self.answers)
        return hashlib.sha256(json.dumps([self.row, self.prompt, answers]).encode()).hexdigest()


class Comparisons:
    """The comparisons of a feedback store."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def put(self, comparisons: Sequence[Comparison]) -> int:
        """Queue comparisons; one that waits already gets the new priority. Returns how many are new."""
        new = 0
        with self.database.writing() as session:
            for comparison in {comparison.id: comparison for comparison in comparisons}.values():
                row = session.get(ComparisonRow, comparison.id)
                if row is None:
                    fields = comparison.model_dump(mode="json")
                    session.add(ComparisonRow(id=comparison.id, added_at=now(), **fields))
                    new += 1
                else:
                    row.priority, row.wanted = comparison.priority, comparison.wanted
        return new

    def next_for(self, annotator: str, held: Mapping[str, int] | None = None) -> Comparison | None:
        """The comparison of highest priority that they have not judged and that still wants judges.

        Args:
            annotator: Who is to be asked.
            held: How many others have a comparison before them, by its id: they will judge it.
        """
        with self.database.reading() as session:
            query = self._waiting(annotator, held)
            row = session.scalar(query.order_by(*FIRST).limit(1))
            return _as_comparison(row) if row is not None else None

    def count_waiting(self, annotator: str) -> int:
        """How many they have not judged that still want judges."""
        with self.database.reading() as session:
            query = select(func.count()).select_from(self._waiting(annotator).subquery())
            return session.scalar(query) or 0

    def judged_by(self, annotator: str) -> set[str]:
        """Ids of the comparisons that they judged, or said that they cannot; none that they took back."""
        with self.database.reading() as session:
            return {str(id) for id in session.scalars(_own(annotator))}

    def find(self, id: str) -> Comparison | None:
        """The comparison of this id."""
        with self.database.reading() as session:
            row = session.get(ComparisonRow, id)
            return _as_comparison(row) if row is not None else None

    def open(self) -> list[Comparison]:
        """Those that still want judges, the highest priority first."""
        with self.database.reading() as session:
            query = select(ComparisonRow).where(_wants_judges()).order_by(*FIRST)
            return [_as_comparison(row) for row in session.scalars(query)]

    def rows_answered_by(self, models: Collection[str]) -> set[str]:
        """Ids of the questions with a comparison all of whose answers these models wrote.

        Args:
            models: Digests.
        """
        with self.database.reading() as session:
            known = session.execute(select(ComparisonRow.row, ComparisonRow.answers))
            return {row for row, answers in known if all(answer["model"] in models for answer in answers)}

    def clear(self) -> int:
        """Take all that wait out of the queue; their judgements stay. Returns how many there were."""
        with self.database.writing() as session:
            count = session.scalar(select(func.count()).select_from(ComparisonRow)) or 0
            session.execute(delete(ComparisonRow))
        return count

    @staticmethod
    def _waiting(annotator: str, held: Mapping[str, int] | None = None) -> Select[ComparisonRow]:
        # Their own first: that costs one look, where to count the judges costs one for each comparison.
        return select(ComparisonRow).where(ComparisonRow.id.not_in(_own(annotator)), _wants_judges(held))


def _wants_judges(held: Mapping[str, int] | None = None) -> ColumnElement[bool]:
    # Who cannot judge has not used up the place of one who can.
    judges = (
        select(func.count(EventRow.annotator.distinct()))
        .where(EventRow.comparison == ComparisonRow.id, EventRow.kind != "skip", stands())
        .scalar_subquery()
    )
    if not held:
        return judges < ComparisonRow.wanted
    return judges + case(dict(held), value=ComparisonRow.id, else_=0) < ComparisonRow.wanted


def _own(annotator: str) -> Select[str | None]:
    return select(EventRow.comparison).where(EventRow.annotator == annotator, asked_and_answered())


def _as_comparison(row: ComparisonRow) -> Comparison:
    return Comparison.model_validate({name: getattr(row, name) for name in Comparison.model_fields})
