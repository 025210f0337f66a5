"""What a night's run in the tracker shows."""

from flows.nightly import night_figures


def test_the_gain_of_a_night_is_shown_with_its_interval() -> None:
    """It was a list among numbers, and only the count of rows was shown."""
    decided = {
        "rows": 310,
        "decision": "promote",
        "reason": "",
        "metric": "utility",
        "gain": [0.1, 0.02, 0.18],
    }
    assert night_figures(decided) == {
        "promotion/gain": 0.1,
        "promotion/gain_low": 0.02,
        "promotion/gain_high": 0.18,
        "promotion/promote": 1.0,
    }


def test_an_interval_from_too_few_contexts_has_no_ends() -> None:
    decided = {"decision": "keep", "gain": [0.1, None, None]}
    assert night_figures(decided) == {"promotion/gain": 0.1, "promotion/promote": 0.0}
