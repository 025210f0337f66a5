"""A map of what was asked: questions as points, and themes among them that are named by their own words."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_THEMES, LEAST_OF_A_THEME = 7, 6
COMPONENTS = 12  # of the vectors, in which themes are sought; the first two are drawn
NAMED_BY = 3  # words
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class ThemeMap:
    """Where each question lies, and to which theme it belongs.

    Attributes:
        places: First two principal components, largest absolute value 1. Shape [n, 2].
        themes: Number of each question's theme. Shape [n].
        names: Of the themes.
    """

    places: NDArray[np.float64]
    themes: NDArray[np.int64]
    names: tuple[str, ...]


def map_themes(vectors: NDArray[np.float64], texts: Sequence[str], seed: int) -> ThemeMap:
    """Place questions by their principal components, and gather them into themes by k-means.

    Args:
        vectors: One a question, such as the mean hidden state. Shape [n, H], n at least 1.
        texts: What the themes are named by, n texts.
        seed: Of the first centres.
    """
    parts = principal_components(vectors, COMPONENTS)
    themes = cluster(parts, max(1, min(MOST_THEMES, len(texts) // LEAST_OF_A_THEME)), seed)
    places = np.zeros((len(texts), 2))
    places[:, : min(2, parts.shape[1])] = parts[:, :2]
    widest = np.abs(places).max()
    return ThemeMap(places / widest if widest else places, themes, theme_names(texts, themes))


def principal_components(vectors: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Scores of the first components, signed so that the largest of each is positive. Shape [n, count]."""
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    scores = (left * values)[:, :count]
    largest = np.abs(scores).argmax(axis=0)
    signs = np.sign(scores[largest, np.arange(scores.shape[1])])
    return np.asarray(scores * np.where(signs == 0, 1, signs))


def cluster(points: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """Clusters by k-means, numbered from 0 by size; seeded as by Arthur and Vassilvitskii 2007. Shape [n]."""
    from scipy.cluster.vq import kmeans2

    if count < 2 or len(points) < 2:
        return np.zeros(len(points), dtype=np.int64)
    _, found = kmeans2(points, count, minit="++", rng=np.random.default_rng(seed), missing="warn")
    order = [number for number, _ in Counter(found.tolist()).most_common()]
    return np.array([order.index(number) for number in found.tolist()], dtype=np.int64)


def theme_names(texts: Sequence[str], themes: NDArray[np.int64]) -> tuple[str, ...]:
    """The words that set each theme apart: those with the highest tf_t,c log(1 + A / f_t).

    tf is a word's share of a theme's words, f its count in all themes, A the mean number of words of a theme
    (class-based TF-IDF, Grootendorst 2022).
    """
    count = int(themes.max()) + 1
    words = [Counter[str]() for _ in range(count)]
    for text, theme in zip(texts, themes.tolist(), strict=True):
        words[theme].update(_WORD.findall(text.lower()))
    total = sum(words, Counter[str]())
    mean = sum(total.values()) / count
    names = []
    for own in words:
        size = max(1, sum(own.values()))
        worth = {word: n / size * math.log(1 + mean / total[word]) for word, n in own.items()}
        best = sorted(worth, key=lambda word: (-worth[word], word))[:NAMED_BY]
        names.append(", ".join(best))
    return tuple(names)
