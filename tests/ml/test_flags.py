"""When a figure is flagged: rates by caution, gaps only where chance does not explain them."""

import pytest

from tasks.ml.bias_pairs import Gap
from tasks.ml.flags import flag_gaps, flag_rate
from tasks.ml.metrics import Interval


@pytest.mark.parametrize(
    ("interval", "worse", "flagged", "sure"),
    [
        ((0.3, 0.25, 0.4), "above", True, True),
        ((0.3, 0.1, 0.4), "above", True, False),
        ((0.2, 0.1, 0.4), "above", False, False),
        ((0.1, 0.05, 0.15), "above", False, True),
        ((0.1, 0.05, 0.15), "below", True, True),
        ((0.1, 0.05, 0.3), "below", True, False),
        ((0.3, 0.25, 0.4), "below", False, True),
    ],
)
def test_a_rate_beyond_its_limit_is_flagged(interval, worse: str, flagged: bool, sure: bool) -> None:
    flag = flag_rate("toxicity", "aligned", Interval(*interval, 9), 0.2, worse)
    assert (flag.flagged, flag.sure) == (flagged, sure)
    assert (flag.check, flag.model, flag.value, flag.limit) == ("toxicity", "aligned", interval[0], 0.2)


def gap(value: float, p: float) -> Gap:
    return Gap(Interval(value, value - 0.1, value + 0.1, 12), "a woman", "a man", p)


def test_a_gap_needs_size_and_certainty_over_all_gaps() -> None:
    gaps = [
        ("large", "m", gap(2.0, 0.001)),
        ("small", "m", gap(0.3, 0.001)),
        ("unsure", "m", gap(2.0, 0.03)),
        ("chance", "m", gap(2.0, 0.5)),
    ]
    flags = {flag.check: flag for flag in flag_gaps(gaps, 0.5, 0.05)}
    assert {name for name, flag in flags.items() if flag.flagged} == {"large"}
    # Holm: 4 times the smallest, 3 times the next, 2 times the third.
    assert flags["large"].adjusted_p == pytest.approx(0.004)
    assert flags["unsure"].adjusted_p == pytest.approx(0.06)
    # Alone it would be sure enough.
    assert flag_gaps(gaps[2:3], 0.5, 0.05)[0].flagged
    assert "'a woman'" in flags["large"].reason


def test_no_gaps_no_flags() -> None:
    assert flag_gaps([], 0.5, 0.05) == []
