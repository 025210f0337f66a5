"""What the annotators of an import are called in a home, and who is meant by a name."""

import secrets
from pathlib import Path

from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.said import key_of
from tasks.feedback.store.event_store import EventStore
from tasks.shared.secret_files import drawn_once

SECRET_FILE = "pseudonym.secret"


def pseudonyms_of(home: Path, store: EventStore, hides: bool = True) -> Pseudonyms:
    """The pseudonyms of a home, which know what its store has and had.

    Args:
        home: Where the secret is kept.
        store: Names and ids that earlier versions gave are used again.
        hides: Whether events show pseudonyms.
    """
    ids = store.all_ids()
    known = ids | {key for id in ids if (key := key_of(id))}
    return Pseudonyms(
        _secret(home), store.all_annotators(), lambda id: id in known or key_of(id) in known, hides
    )


def known_as(name: str, home: Path, store: EventStore) -> str:
    """What somebody is called in the store: as given if it knows that, else by a pseudonym that it knows."""
    called = Pseudonyms(_secret(home)).candidates(name)
    return next((one for one in called if store.knows(one)), name)


def _secret(home: Path) -> bytes:
    """Drawn when it is first needed. Who has it can tell whether a pseudonym is of a name."""
    return bytes.fromhex(drawn_once(home / SECRET_FILE, lambda: secrets.token_hex(32)))
