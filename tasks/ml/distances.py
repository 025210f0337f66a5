"""Distances between two samples of texts, all between 0 and 1: the measures of drift.

Each is made once for the N members of both samples, and then asked for many divisions of them at a time, see
`tasks.ml.matched_draws`.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.ml.matched_draws import Distance, Mask, Values

# Letters only: hardly any number comes twice, and none says what is talked about.
_WORD = re.compile(r"[^\W\d_]+")


class WordCounts:
    """How often each word stands in each text.

    Attributes:
        words: The V words, lower case.
        counts: Whole numbers. Shape [N, V].
        lengths: Words and numbers of each text, divided by blanks. Shape [N].
    """

    def __init__(self, texts: Sequence[str]) -> None:
        number: dict[str, int] = {}
        counted = [Counter(_WORD.findall(text.casefold())) for text in texts]
        for counter in counted:
            for word in counter:
                number.setdefault(word, len(number))
        self.words = list(number)
        self.counts = np.zeros((len(texts), len(number)), dtype=np.float32)
        for place, counter in enumerate(counted):
            for word, count in counter.items():
                self.counts[place, number[word]] = count
        self.lengths: Values = np.array([len(text.split()) for text in texts], dtype=np.float64)

    def within(self, members: Mask) -> NDArray[np.float32]:
        """How often each word stands in the members' texts. Shapes [B, N] to [B, V]."""
        found: NDArray[np.float32] = members.astype(np.float32) @ self.counts
        return found


def largest_gap(values: Values) -> Distance:
    """Kolmogorov-Smirnov: the largest gap between the two cumulative distributions of values. Shape [N]."""
    order = np.argsort(values, kind="stable")
    # Between equal values there is no gap to look at.
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)

    def distance(new: Mask, rest: Mask) -> Values:
        below, others = (_shares(own[:, order].astype(np.float64)).cumsum(1) for own in (new, rest))
        gaps: Values = abs(below - others)[:, ends].max(1)
        return gaps

    return distance


def unknown_share(words: WordCounts) -> Distance:
    """Share of the new sample's words that stand nowhere in the rest."""

    def distance(new: Mask, rest: Mask) -> Values:
        theirs, known = words.within(new), words.within(rest) > 0
        unknown = np.where(known, 0, theirs).sum(1, dtype=np.float64)
        share: Values = unknown / np.maximum(theirs.sum(1, dtype=np.float64), 1)
        return share

    return distance


def word_divergence(words: WordCounts) -> Distance:
    """Jensen-Shannon divergence of the two distributions of words, in bits (Lin 1991).

    H((p + q) / 2) - (H(p) + H(q)) / 2 with the entropy H to the base of 2. Two samples of one distribution
    have some as well, the more the smaller they are.
    """

    def distance(new: Mask, rest: Mask) -> Values:
        p, q = (_shares(words.within(own).astype(np.float64)) for own in (new, rest))
        return np.maximum(0, _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2)

    return distance


def mix_difference(kinds: Sequence[str]) -> Distance:
    """Total variation: the share of members that would have to be of another kind. Kinds: N."""
    _, code = np.unique(np.array(kinds, dtype=object), return_inverse=True)
    table = np.eye(int(code.max(initial=-1)) + 1)[code]

    def distance(new: Mask, rest: Mask) -> Values:
        p, q = (_shares(own @ table) for own in (new, rest))
        half: Values = abs(p - q).sum(1) / 2
        return half

    return distance


def energy_coefficient(vectors: Values) -> Distance:
    """How much of what lies between the samples does not lie within them (Szekely and Rizzo 2013).

    (2 E|X - Y| - E|X - X'| - E|Y - Y'|) / (2 E|X - Y|): 0 for equal distributions, 1 for two different
    points. It needs no width of a kernel.

    Args:
        vectors: One a member. Shape [N, H].
    """
    squares = (vectors**2).sum(1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0))
    np.fill_diagonal(apart, 0)

    def distance(new: Mask, rest: Mask) -> Values:
        p, q = (_shares(own.astype(np.float64)) for own in (new, rest))
        from_new, from_rest = p @ apart, q @ apart
        across = 2 * (from_new * q).sum(1)
        within = (from_new * p).sum(1) + (from_rest * q).sum(1)
        coefficient: Values = np.divide(across - within, across, out=np.zeros_like(across), where=across > 0)
        return coefficient

    return distance


def share_difference(counted: Values, of: Values) -> Distance:
    """Difference of the shares that `counted` is of `of`, each summed over the members; both [N].

    Where one of the samples has nothing to count there is no difference.
    """

    def distance(new: Mask, rest: Mask) -> Values:
        wholes = [own @ of for own in (new, rest)]
        ours, theirs = (
            (own @ counted) / np.maximum(whole, 1) for own, whole in zip((new, rest), wholes, strict=True)
        )
        return np.where((wholes[0] > 0) & (wholes[1] > 0), abs(ours - theirs), 0.0)

    return distance


def _shares(counts: Values) -> Values:
    """Each row over its sum; a row of zeros stays. Shape [B, K]."""
    shares: Values = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def _entropy(shares: Values) -> Values:
    """In bits, of each row. Shapes [B, K] to [B]."""
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    bits: Values = -(shares * logs).sum(1)
    return bits
