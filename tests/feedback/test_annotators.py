"""Who may judge: by a token of their own, which is kept nowhere."""

import pytest
from sqlalchemy import text

from tasks.feedback.store.annotators import Annotators
from tasks.feedback.store.database import Database, FeedbackStoreError
from tasks.feedback.store.event_store import EventStore


def test_a_token_says_who_it_is(database: Database) -> None:
    annotators = Annotators(database)
    anna, bert = annotators.invite("anna"), annotators.invite("bert")
    assert anna != bert
    assert (annotators.identify(anna), annotators.identify(bert)) == ("anna", "bert")
    assert annotators.names() == ["anna", "bert"]
    for nobodys in ("", "anna", anna[:-1], anna + "A", anna.swapcase()):
        assert annotators.identify(nobodys) is None


def test_a_new_token_ends_the_old_one(database: Database) -> None:
    annotators = Annotators(database)
    old, new = annotators.invite("anna"), annotators.invite("anna")
    assert annotators.identify(old) is None
    assert annotators.identify(new) == "anna"
    assert annotators.names() == ["anna"]


def test_who_withdrew_has_no_access_until_invited_again(database: Database) -> None:
    annotators = Annotators(database)
    token = annotators.invite("anna")
    EventStore(database).withdraw("anna")
    assert annotators.identify(token) is None
    assert annotators.names() == []
    assert annotators.identify(annotators.invite("anna")) == "anna"


def test_tokens_are_long_and_not_in_the_store(database: Database) -> None:
    token = Annotators(database).invite("anna")
    # 32 random bytes in base64 without padding.
    assert len(token) == 43
    with database.reading() as session:
        [row] = session.execute(text("SELECT * FROM annotators")).all()
    assert token not in str(row)


@pytest.mark.parametrize("name", ["", " ", "a" * 129, "an\nna", "an\0na", " anna", "anna "])
def test_names_that_are_no_pseudonym_are_refused(database: Database, name: str) -> None:
    with pytest.raises(FeedbackStoreError, match="printable"):
        Annotators(database).invite(name)
