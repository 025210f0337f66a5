"""Who may judge: annotators with a pseudonym and a token of their own."""

import hashlib
import secrets

from sqlalchemy import select

from configs.errors import Problem
from tasks.feedback.store.database import Database, FeedbackStoreError, now
from tasks.feedback.store.tables import AnnotatorRow

TOKEN_BYTES = 32


class Annotators:
    """The annotators of a feedback store."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def invite(self, name: str) -> str:
        """Give an annotator a new token, shown this once; an older one of theirs ends.

        Raises:
            FeedbackStoreError: Not a pseudonym of up to 128 printable characters.
        """
        if not name or name != name.strip() or len(name) > 128 or not name.isprintable():
            raise FeedbackStoreError(
                Problem("annotator", repr(name), "up to 128 printable characters", "Choose another name.")
            )
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self.database.writing() as session:
            row = session.get(AnnotatorRow, name)
            if row is None:
                session.add(AnnotatorRow(name=name, token_sha256=digest(token), invited_at=now()))
            else:
                row.token_sha256, row.invited_at, row.revoked_at = digest(token), now(), None
        return token

    def identify(self, token: str) -> str | None:
        """Whose token it is; None if nobody's, or if their access ended."""
        return self.identify_digest(digest(token))

    def identify_digest(self, token_sha256: str) -> str | None:
        """Whose token has this digest; None if nobody's, or if their access ended."""
        with self.database.reading() as session:
            query = select(AnnotatorRow).where(AnnotatorRow.token_sha256 == token_sha256)
            row = session.scalar(query)
            return row.name if row is not None and row.revoked_at is None else None

    def names(self) -> list[str]:
        """All who may judge, sorted."""
        with self.database.reading() as session:
            query = select(AnnotatorRow.name).where(AnnotatorRow.revoked_at.is_(None))
            return sorted(session.scalars(query))


def digest(token: str) -> str:
    """What is kept of a token. It is 256 random bits, so one round of sha256 cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()
