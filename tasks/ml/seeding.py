"""Randomness that depends on names, not on the order of calls: every draw can be repeated alone."""

import hashlib
import random


def stable_hash(*parts: object) -> int:
    """A 64-bit hash of the parts' texts that is the same on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def stable_fraction(*parts: object) -> float:
    """A number in [0, 1) made from the parts: the same parts give the same number for ever."""
    return stable_hash(*parts) / 2**64


def random_for(*parts: object) -> random.Random:
    """A Python random generator of its own for whatever the parts name."""
    return random.Random(stable_hash(*parts))
