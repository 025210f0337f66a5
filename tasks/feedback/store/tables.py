"""The tables of the feedback store, the same in SQLite and PostgreSQL.

Migrations in `migrations/` make them; a change here needs one there, which a test compares.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Double, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite counts by itself only in a plain INTEGER.
Counter = BigInteger().with_variant(Integer, "sqlite")


class Table(DeclarativeBase):
    """What all tables share."""


class EventRow(Table):
    """One feedback event; appended, never changed."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_replaced", "replaces", "annotator"),
        {"sqlite_autoincrement": True},
    )

    sequence: Mapped[int] = mapped_column(Counter, primary_key=True)
    id: Mapped[str] = mapped_column(String(128), unique=True)
    row: Mapped[str] = mapped_column(Text, index=True)
    task: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    answers: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    judgement: Mapped[dict[str, Any]] = mapped_column(JSON)
    kind: Mapped[str] = mapped_column(String(20))
    annotator: Mapped[str] = mapped_column(String(128), index=True)
    comment: Mapped[str] = mapped_column(Text)
    created_at: Mapped[str | None] = mapped_column(String(40))
    source: Mapped[str] = mapped_column(String(20))
    simulated: Mapped[bool] = mapped_column(Boolean)
    comparison: Mapped[str | None] = mapped_column(String(64), index=True)
    replaces: Mapped[str | None] = mapped_column(String(128))


class WithdrawalRow(Table):
    """An event that its annotator withdrew; its id stays, so that it does not come back."""

    __tablename__ = "withdrawals"

    event: Mapped[str] = mapped_column(String(128), primary_key=True)
    annotator: Mapped[str] = mapped_column(String(128), index=True)
    withdrawn_at: Mapped[str] = mapped_column(String(40))


class AnnotatorRow(Table):
    """Who may judge: a pseudonym and the digest of their token, which itself is kept nowhere."""

    __tablename__ = "annotators"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    invited_at: Mapped[str] = mapped_column(String(40))
    revoked_at: Mapped[str | None] = mapped_column(String(40))


class ComparisonRow(Table):
    """Answers to one question that wait for judgement."""

    __tablename__ = "comparisons"
    __table_args__ = (Index("comparisons_by_priority", "priority", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    row: Mapped[str] = mapped_column(Text)
    task: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    answers: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    priority: Mapped[float] = mapped_column(Double)
    wanted: Mapped[int]
    added_at: Mapped[str] = mapped_column(String(40))
