"""What a held-out set can show: the questions that an effect takes, the effect that questions find."""

import math
from statistics import NormalDist

from tasks.ml.metrics import Interval

POWER = 0.8  # four of five cases


def questions_needed(lead: Interval, confidence: float) -> int | None:
    """Held-out questions that would show a lead of this size in four of five cases; None: none would.

    The standard error, half the interval over z, falls with the square root of the number of questions n,
    so n' = n ((z + z_power) error / lead)^2. Source of the rule: Cohen 1988, chapter 2.
    """
    if lead.value <= 0:
        return None
    return math.ceil(lead.n * (found_in_most(lead, confidence, (1 - confidence) / 2) / lead.value) ** 2)


def found_in_most(difference: Interval, confidence: float, level: float) -> float:
    """The smallest true difference that a one-sided test finds in four of five cases: (z + z_power) error.

    Args:
        difference: As measured; only its width counts.
        confidence: Level of its interval.
        level: Of the one-sided test.
    """
    normal = NormalDist()
    error = (difference.high - difference.low) / (2 * normal.inv_cdf((1 + confidence) / 2))
    return (normal.inv_cdf(1 - level) + normal.inv_cdf(POWER)) * error
