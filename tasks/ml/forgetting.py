"""What specialising costs: how much less probable a model finds the answers to general instructions.

Measured in nats per UTF-8 byte of the answer, so that models with different vocabularies compare.
"""

from collections.abc import Sequence

import numpy as np

from tasks.ml.metrics import Interval, Values, bootstrap_ratio
from tasks.ml.rows import Row


def answer_bytes(rows: Sequence[Row]) -> Values:
    """Length of each gold answer in UTF-8 bytes. Shape [Q]."""
    return np.array([float(len((row.answer or "").encode())) for row in rows])


def nll_per_byte(nats: Values, sizes: Values, resamples: int, seed: int) -> Interval:
    """Negative log-likelihood of all answers over their bytes, in nats per byte.

    Args:
        nats: Negative log-likelihood of each answer, its stop token included. Shape [Q].
        sizes: Bytes of each answer. Shape [Q].
        resamples: Bootstrap resamples of the interval.
        seed: Of the resampling.
    """
    return bootstrap_ratio(nats, sizes, resamples, seed)


def forgetting(before: Values, after: Values, sizes: Values, resamples: int, seed: int) -> Interval:
    """Rise of the negative log-likelihood per byte, after - before; above 0 the model forgot.

    The interval is paired: the same questions are drawn for both models.

    Args:
        before: Negative log-likelihood of each answer before, in nats. Shape [Q].
        after: The same after. Shape [Q].
        sizes: Bytes of each answer. Shape [Q].
        resamples: Bootstrap resamples of the interval.
        seed: Of the resampling.
    """
    return nll_per_byte(after - before, sizes, resamples, seed)
