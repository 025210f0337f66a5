"""What imported annotators are called: one pseudonym a name, which nobody can tell from the name alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from flows.feedback_import import Source, import_feedback, read_source
from flows.feedback_names import known_as, pseudonyms_of
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Names, Reading
from tasks.feedback.store.event_store import EventStore

ANNA, BERT = "anna@example.org", "bert@example.org"
SECRET = b"sixteen bytes or more"


def row(annotator: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"prompt": f"Why {number}?", "chosen": "a", "rejected": "b", "annotator": annotator} | changes


@pytest.fixture
def put(tmp_path: Path, store: EventStore):
    """Import rows under the pseudonyms of this home; those of an earlier version if `former`."""

    def put(*rows: dict[str, Any], former: bool = False, hides: bool = True):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        called = Former(hides) if former else pseudonyms_of(tmp_path / "home", store, hides)
        return import_feedback(Source(str(path), Reading(called, Names({}))), store)

    return put


def digest_of(name: str) -> str:
    """The pseudonym of earlier versions, by hand."""
    return "annotator-" + hashlib.sha256(json.dumps(["annotator", name]).encode()).hexdigest()[:16]


class Former(Pseudonyms):
    """Gives names and ids as earlier versions did: both are plain digests."""

    def __init__(self, hides: bool) -> None:
        super().__init__(b"", [digest_of(ANNA), digest_of(BERT)], lambda id: True, hides)


def test_a_name_has_one_pseudonym_a_secret() -> None:
    one, same, other = Pseudonyms(SECRET), Pseudonyms(SECRET), Pseudonyms(b"another secret, as long")
    assert one.shown(ANNA) == same.shown(ANNA)
    assert len({one.shown(ANNA), one.shown(BERT), other.shown(ANNA), digest_of(ANNA)}) == 4
    assert one.shown(ANNA).startswith("annotator-")
    assert Pseudonyms(SECRET, hides=False).shown(ANNA) == ANNA


def test_nothing_that_is_stored_follows_from_the_name(tmp_path: Path) -> None:
    """The id was a digest of name and judgement, so whoever read the labels could try names on it."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row(ANNA)) + "\n" + json.dumps(row(ANNA, 2, id="7")) + "\n")
    called = (Former(True), Pseudonyms(SECRET), Pseudonyms(b"another secret, as long"))
    former, one, other = (read_source(Source(str(path), Reading(who))).events for who in called)
    first = former[0]
    guess = [
        ANNA,
        first.prompt,
        *(answer.text for answer in first.answers),
        first.judgement.model_dump_json(),
    ]
    assert first.id == "import-" + hashlib.sha256(json.dumps(guess).encode()).hexdigest()[:40]
    for place in range(2):
        ids = {events[place].id for events in (former, one, other)}
        # With an id of the source's own, both its parts are checked: the second says only what was judged.
        assert len({id.split("-")[1] for id in ids}) == 3
        assert len({events[place].annotator for events in (former, one, other)}) == 3


def test_the_secret_is_drawn_once_and_is_private(put, store: EventStore, tmp_path: Path) -> None:
    put(row(ANNA))
    secret = tmp_path / "home" / "pseudonym.secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(secret.read_text())) == 32
    before = secret.read_text()
    assert put(row(ANNA)).known == 1
    assert secret.read_text() == before
    assert before not in "".join(event.model_dump_json() for event in store.events())


def test_what_an_earlier_version_imported_is_known_again(put, store: EventStore) -> None:
    assert put(row(ANNA), row(BERT), former=True).new == 2
    again = put(row(ANNA), row(BERT), row(ANNA, 2))
    assert (again.new, again.known) == (1, 2)
    # She goes on under the name that her earlier judgements have.
    assert store.annotators() == sorted({digest_of(ANNA), digest_of(BERT)})


def test_a_change_of_mind_replaces_what_an_earlier_version_imported(put, store: EventStore) -> None:
    put(row(ANNA, id="7"), former=True)
    [before] = list(store.events())
    put(row(ANNA, id="7", comment="on second thoughts"))
    [first, second] = list(store.events())
    assert (first, second.replaces, second.annotator) == (before, before.id, before.annotator)


def test_what_was_withdrawn_under_the_former_name_stays_away(put, store: EventStore) -> None:
    put(row(ANNA), former=True)
    store.withdraw(digest_of(ANNA))
    again = put(row(ANNA))
    assert (again.new, again.withdrawn) == (0, 1)


def test_names_kept_and_names_hidden_are_the_same_feedback(put, store: EventStore) -> None:
    put(row(ANNA), former=True, hides=False)
    assert put(row(ANNA)).known == 1
    assert put(row(BERT), hides=False).new == 1
    assert put(row(BERT)).known == 1
    assert store.annotators() == [ANNA, BERT]


def test_somebody_is_found_by_name(put, store: EventStore, tmp_path: Path) -> None:
    put(row(ANNA), former=True)
    put(row("carl"))
    home = tmp_path / "home"
    assert known_as(ANNA, home, store) == digest_of(ANNA)
    carl = pseudonyms_of(home, store).shown("carl")
    assert known_as("carl", home, store) == known_as(carl, home, store) == carl
    assert known_as("nobody", home, store) == "nobody"
