"""What annotators are called here who have names in another tool."""

import hashlib
import hmac
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass

PREFIX = "annotator-"
DIGITS = 16


@dataclass(frozen=True)
class Pseudonyms:
    """Makes a pseudonym of a name: the same for the same name, and for nobody without the secret.

    Attributes:
        secret: Of this home; at least 16 random bytes.
        annotators: Who has or had judgements in the store. Those that an earlier version called by a digest
            without a secret go on being called so.
        is_known: Whether a judgement of an id, or an earlier version of it, is or was in the store. Ids that
            an earlier version made of names are recognised by it.
        hides: Whether events show pseudonyms; otherwise they show the names.
    """

    secret: bytes
    annotators: Collection[str] = ()
    is_known: Callable[[str], bool] = lambda id: False
    hides: bool = True

    def shown(self, name: str) -> str:
        """What the annotator of an event is called."""
        former = former_pseudonym(name)
        if not self.hides:
            return name
        return former if former in self.annotators else PREFIX + self._keyed(name)[:DIGITS]

    def id_of(self, name: str, make: Callable[[str], str]) -> str:
        """The id of a judgement: one made of the name if it is known, else one that the name is not in.

        Args:
            name: Of who judged.
            make: Makes an id from what stands for the annotator.
        """
        former = make(name)
        return former if self.is_known(former) else make(self._keyed(name))

    def candidates(self, name: str) -> tuple[str, ...]:
        """All that somebody may be called here: the name itself, its pseudonym, and the former one."""
        return name, PREFIX + self._keyed(name)[:DIGITS], former_pseudonym(name)

    def _keyed(self, name: str) -> str:
        return hmac.new(self.secret, b"annotator\0" + name.encode(), hashlib.sha256).hexdigest()


def former_pseudonym(name: str) -> str:
    """What earlier versions called an annotator: whoever guessed the name could tell that it was right."""
    return PREFIX + hashlib.sha256(json.dumps(["annotator", name]).encode()).hexdigest()[:DIGITS]
