"""Rows that cannot be right are flagged; the same rows made right are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.reporting.doubts import doubts_about
from tasks.reporting.pages import Pages
from tasks.reporting.pens import Links
from tasks.reporting.story import Story

SOUND = {
    "metric": "accuracy",
    "model": "aligned",
    "value": 0.6,
    "low": 0.5,
    "high": 0.7,
    "n": 9,
    "unit": "share",
}


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("outside_share", {"value": 1.2, "high": 1.3}),
        ("outside_share", {"value": -0.1, "low": -0.2}),
        ("outside_interval", {"value": 0.8}),
        ("outside_interval", {"value": 0.4}),
        ("over_nothing", {"n": 0}),
        ("not_finite", {"value": float("nan"), "unit": "words", "low": None, "high": None}),
        (
            "perplexity_below_one",
            {"metric": "perplexity", "value": 0.9, "low": 0.8, "high": 1.1, "unit": "per token"},
        ),
        ("negative", {"metric": "kl_to_distilled", "value": -0.1, "low": -0.2, "high": 0.1, "unit": "nats"}),
        ("negative", {"metric": "words", "value": -1.0, "low": -2.0, "high": 0.0, "unit": "words"}),
        ("below_guessing", {"metric": "accuracy_comparison", "value": 0.3, "low": 0.2, "high": 0.4}),
    ],
)
def test_a_row_that_breaks_a_rule_is_flagged(rule: str, changes: dict[str, Any]) -> None:
    row = SOUND | changes
    assert doubts_about([row])[row["metric"], "aligned"] == (rule,)


def test_sound_rows_are_not_flagged() -> None:
    rows = [
        SOUND,
        SOUND | {"metric": "accuracy_gain_over_teacher", "value": -0.2, "low": -0.3, "high": -0.1},
        SOUND | {"metric": "accuracy_comparison", "value": 0.45, "low": 0.35, "high": 0.55},
        SOUND
        | {"metric": "accuracy_comparison", "model": "unrefined", "value": 0.0, "low": 0.0, "high": 0.0},
        SOUND | {"metric": "perplexity", "value": 1.0, "low": 1.0, "high": 1.0, "unit": "per token"},
        SOUND | {"metric": "forgetting", "value": -0.1, "low": -0.2, "high": 0.0, "unit": "nats per byte"},
        SOUND
        | {"metric": "parameters", "model": "teacher", "n": None, "value": 5.0, "low": 5.0, "high": 5.0},
    ]
    rows[-1]["unit"] = "parameters"
    assert doubts_about(rows) == {}


def test_what_is_stricter_cannot_be_higher() -> None:
    def both(strict: float) -> list[dict[str, Any]]:
        names = (("forecast_within_10", strict), ("forecast_stated", 0.5))
        return [SOUND | {"metric": name, "value": value, "low": 0.0, "high": 1.0} for name, value in names]

    assert doubts_about(both(0.6)) == {("forecast_within_10", "aligned"): ("strict_above_loose",)}
    assert doubts_about(both(0.5)) == {}


@pytest.mark.parametrize(("language", "words"), [("en", "looks wrong"), ("fr", "semble faux")])
def test_a_flag_is_seen_on_every_page(
    make_parts: Callable[..., Any], tmp_path: Path, language: str, words: str
) -> None:
    figures = [SOUND | {"high": 0.55}, SOUND | {"metric": "words", "model": "distilled", "unit": "words"}]
    story = Story("nutrition", make_parts(evaluate={"figures.json": figures}))
    Pages(story, None, (language,), ("html", "card"), Links(), print).write(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count(f"⚠ {words}") >= 2
    assert "⚠" in (tmp_path / "README.md").read_text(encoding="utf-8")
