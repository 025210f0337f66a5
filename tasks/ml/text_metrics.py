"""What answers look like beside gold answers and beside each other: overlap, repetition, variety."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tasks.ml.metrics import Values
from tasks.ml.ppo_guard import repetition


def rouge_l(references: Sequence[str], texts: Sequence[str]) -> Values:
    """F1 of the longest common subsequence of words, 0 to 1 (Lin 2004). Shape [Q].

    Words are those of the library: letters a to z and digits, in small letters.
    """
    from rouge_score.rouge_scorer import RougeScorer  # seconds to import

    scorer = RougeScorer(["rougeL"])
    scores = [scorer.score(gold, text) for gold, text in zip(references, texts, strict=True)]
    return np.array([float(found["rougeL"].fmeasure) for found in scores])


def chrf(references: Sequence[str], texts: Sequence[str]) -> Values:
    """F2 of character n-grams up to 6, 0 to 100 points (Popovic 2015), as sacreBLEU counts it. Shape [Q]."""
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF()
    pairs = zip(references, texts, strict=True)
    return np.array([float(scorer.sentence_score(text, [gold]).score) for gold, text in pairs])


def repetitions(texts: Sequence[str]) -> Values:
    """Share of each answer's 3-grams of words that it has said before. Shape [Q]."""
    return np.array([repetition(text.split()) for text in texts])


def bigrams(text: str) -> Counter[tuple[str, str]]:
    """How often each pair of neighbouring words stands in a text."""
    words = text.split()
    return Counter(zip(words[:-1], words[1:], strict=True))


def distinct_2(texts: Sequence[str]) -> float:
    """Distinct pairs of neighbouring words over all such pairs of all texts; 0 if there are none.

    Source: Li et al. 2016, "A Diversity-Promoting Objective Function". It falls with the number of texts, so
    only models that answered the same questions compare.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for text in texts:
        counts.update(bigrams(text))
    return len(counts) / counts.total() if counts else 0.0
