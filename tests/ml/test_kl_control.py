"""The price of KL, worked by hand."""

import pytest

from tasks.ml.kl_control import KLController


def test_without_a_target_the_price_is_fixed() -> None:
    controller = KLController(0.1, None, 100)
    controller.observe(50.0, 1000)
    assert controller.coefficient == 0.1


@pytest.mark.parametrize(
    ("kl", "factor"),
    [
        (6.0, 1.0),  # on target
        (6.6, 1 + 0.1 * 32 / 1000),  # a tenth above
        (60.0, 1 + 0.2 * 32 / 1000),  # far above: a fifth counts
        (5.4, 1 - 0.1 * 32 / 1000),
        (0.0, 1 - 0.2 * 32 / 1000),
    ],
)
def test_the_price_follows_the_distance_from_the_target(kl: float, factor: float) -> None:
    controller = KLController(0.1, 6.0, 1000)
    controller.observe(kl, 32)
    assert controller.coefficient == pytest.approx(0.1 * factor, rel=1e-12)
