"""How many questions an effect takes, by hand."""

import math

import pytest

from tasks.ml.metrics import Interval
from tasks.ml.power import found_in_most, questions_needed


def test_how_many_questions_a_lead_takes() -> None:
    # Half the interval is 0.1, so the error is 0.1 / 1.96; z + z_power = 1.960 + 0.842 = 2.802.
    lead = Interval(0.05, -0.05, 0.15, 40)
    assert questions_needed(lead, 0.95) == math.ceil(40 * (2.8016 * (0.1 / 1.95996) / 0.05) ** 2)
    assert questions_needed(Interval(0.0, -0.1, 0.1, 40), 0.95) is None


def test_the_smallest_effect_that_four_of_five_find() -> None:
    # The error is 0.1 / 1.96. One-sided at 2.5 %: z = 1.960; at 1 %: z = 2.326; power 80 %: z = 0.8416.
    measured = Interval(-0.3, -0.4, -0.2, 40)
    assert found_in_most(measured, 0.95, 0.025) == pytest.approx(2.80159 * 0.1 / 1.95996, rel=1e-5)
    assert found_in_most(measured, 0.95, 0.01) == pytest.approx(3.16797 * 0.1 / 1.95996, rel=1e-5)
    # Just above 2.80159 * 0.1 / 1.95996 = 0.142941, the 40 questions are enough; just below, they are not.
    assert questions_needed(Interval(0.14295, 0.04295, 0.24295, 40), 0.95) == 40
    assert questions_needed(Interval(0.14293, 0.04293, 0.24293, 40), 0.95) == 41
