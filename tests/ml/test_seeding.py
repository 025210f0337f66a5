"""Draws that are named, not ordered."""

import hashlib

from tasks.ml.seeding import random_for, stable_fraction, stable_hash


def test_the_same_parts_give_the_same_draw_on_every_machine() -> None:
    # Splits, draws and cached artifacts depend on it: it must never change.
    digest = hashlib.blake2b(b"a\x1f1", digest_size=8).hexdigest()
    assert stable_hash("a", 1) == int(digest, 16)
    assert random_for("x", 1).random() == random_for("x", 1).random()


def test_parts_are_kept_apart() -> None:
    assert stable_hash("ab", "c") != stable_hash("a", "bc")
    assert random_for("x", 1).random() != random_for("x", 2).random()


def test_fractions_are_spread_evenly() -> None:
    fractions = [stable_fraction("f", number) for number in range(2000)]
    assert all(0 <= fraction < 1 for fraction in fractions)
    for tenth in range(10):
        assert 150 <= sum(tenth / 10 <= fraction < (tenth + 1) / 10 for fraction in fractions) <= 250
