"""Which events hold, said in SQL: `events.standing` where there are too many to load."""

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import aliased

from tasks.feedback.store.tables import EventRow


def stands() -> ColumnElement[bool]:
    """No later event of the same annotator replaces it."""
    later = aliased(EventRow)
    return ~(
        select(later.sequence)
        .where(later.replaces == EventRow.id, later.annotator == EventRow.annotator)
        .correlate(EventRow)
        .exists()
    )


def taken_back() -> ColumnElement[bool]:
    """It says no more than that an earlier judgement is to count as never made."""
    return and_(EventRow.kind == "skip", EventRow.judgement["reason"].as_string() == "taken back")


def asked_and_answered() -> ColumnElement[bool]:
    """The annotator said something of the comparison, were it that they cannot judge, and it holds."""
    return and_(EventRow.comparison.is_not(None), stands(), ~taken_back())
