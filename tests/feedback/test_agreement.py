"""Krippendorff's alpha: his own tables, small ones by hand, and what has none."""

from typing import Any

import pytest

from tasks.feedback.agreement import alpha, alphas, pairwise_agreement, ranking_units
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.verdicts import opinions_of, verdicts_of


def units(*coders: str) -> dict[tuple[Any, ...], dict[str, float]]:
    """One text a coder, one character a unit; a dot is no value."""
    table: dict[tuple[Any, ...], dict[str, float]] = {}
    for coder, values in enumerate(coders):
        for unit, value in enumerate(values.split()):
            if value != ".":
                table.setdefault((f"q{unit}",), {})[f"coder-{coder}"] = float(value)
    return table


# K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), sections A, B and C.
BINARY = units("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")
NOMINAL = units("1 1 2 2 4 3 3 3 5 4 4 1", "2 1 2 2 2 3 3 3 5 4 4 4")
MISSING = units(
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)


@pytest.mark.parametrize(
    ("table", "level", "wanted", "pairable"),
    [
        (BINARY, "nominal", 0.095, 10),
        (NOMINAL, "nominal", 0.692, 12),
        # Only one coder saw the last unit.
        (MISSING, "nominal", 0.743, 11),
        (MISSING, "ordinal", 0.815, 11),
    ],
)
def test_published_examples(table: Any, level: Any, wanted: float, pairable: int) -> None:
    found = alpha("x", level, table, seed=1)
    assert found.value == pytest.approx(wanted, abs=5e-4)
    assert (found.units, found.questions) == (pairable, pairable)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        # n = 4: 1 - 3 * 2 / (2 * 3 * 1)
        ("1 1", "1 -1", 0.0),
        # n = 6, of 1, -1 and 0 there are 3, 2 and 1: 1 - 5 * 2 / (2 * (3 * 2 + 3 * 1 + 2 * 1))
        ("1 -1 0", "1 -1 1", 1 - 10 / 22),
        # All opposite, n = 4: 1 - 3 * 4 / (2 * 2 * 2)
        ("1 -1", "-1 1", -0.5),
        ("1 -1", "1 -1", 1.0),
    ],
)
def test_small_tables_by_hand(first: str, second: str, wanted: float) -> None:
    assert alpha("pairs", "nominal", units(first, second), 1).value == pytest.approx(wanted, abs=1e-12)


def test_without_overlap_or_difference_there_is_no_alpha() -> None:
    alone = alpha("pairs", "nominal", units("1 . 1", ". 1 ."), 1)
    assert (alone.value, alone.units, alone.why) == (None, 0, "no two annotators judged the same")
    alike = alpha("pairs", "nominal", units("1 1", "1 1"), 1)
    assert (alike.value, alike.low) == (None, None)
    assert "one and the same value" in alike.why
    single = alpha("pairs", "nominal", {("q", 1): {"a": 0, "b": 0}, ("q", 2): {"a": 1, "b": 1}}, 1)
    assert (single.value, single.low, single.questions) == (1.0, None, 1)


def ranked(annotator: str, judgement: dict[str, Any], texts: str = "abc") -> FeedbackEvent:
    return FeedbackEvent(
        id=annotator,
        row="q",
        prompt="?",
        answers=tuple(Shown(text=text, model="m", stopped=True) for text in texts),
        judgement=judgement,
        annotator=annotator,
        created_at=None,
        source="import",
        simulated=False,
    )


def ranking(*ranks: int | None) -> dict[str, Any]:
    return {"kind": "ranking", "ranks": ranks}


def test_ranks_are_dense_and_f_is_below_the_last() -> None:
    found = ranking_units([ranked("anna", ranking(7, None, 2)), ranked("bert", ranking(None, None, 1))])
    values = {unit[2]: given for unit, given in found.items()}
    assert values == {
        "a": {"anna": 2, "bert": 4},
        "b": {"anna": 4, "bert": 4},
        "c": {"anna": 1, "bert": 1},
    }
    # Among other answers a rank says something else.
    other = ranking_units([ranked("anna", ranking(1, 2, 3)), ranked("bert", ranking(1, 2), "ab")])
    assert all(len(given) == 1 for given in other.values())


def test_the_order_of_display_does_not_matter_to_a_preference() -> None:
    events = [ranked("anna", ranking(1, 2, 2)), ranked("bert", ranking(2, 2, 1), "cba")]
    opinions = opinions_of(verdicts_of(events))
    assert opinions["q"]["anna"] == opinions["q"]["bert"] == {("a", "b"): 1, ("a", "c"): 1, ("b", "c"): 0}
    [pair] = pairwise_agreement(opinions)
    assert (pair.first, pair.second, pair.same, pair.pairs) == ("anna", "bert", 3, 3)


def test_ties_and_opposites_are_no_agreement() -> None:
    events = [
        ranked("bert", ranking(1, 2, 2)),
        ranked("anna", ranking(1, 2, 3)),
        ranked("c", ranking(2, 1), "ab"),
    ]
    found = {
        (p.first, p.second): (p.same, p.pairs) for p in pairwise_agreement(opinions_of(verdicts_of(events)))
    }
    assert found == {("anna", "bert"): (2, 3), ("anna", "c"): (0, 1), ("bert", "c"): (0, 1)}


def test_each_kind_of_judgement_has_its_alpha() -> None:
    events = [
        ranked("anna", {"kind": "ratings", "ratings": (1, 3, 5)}),
        ranked("bert", {"kind": "ratings", "ratings": (2, 3, 5)}),
        ranked("anna", {"kind": "thumbs", "up": (True, False, True)}),
        ranked("bert", {"kind": "thumbs", "up": (True, False, False)}),
    ]
    found = {one.judged: one for one in alphas(events, verdicts_of(events), 1)}
    assert {name: one.level for name, one in found.items()} == {
        "pairs": "nominal",
        "ratings": "ordinal",
        "thumbs": "nominal",
    }
    # n = 6, three up and three down: 1 - 5 * 2 / (2 * 3 * 3)
    assert found["thumbs"].value == pytest.approx(1 - 10 / 18)
    # n_1..n_5 = 1, 1, 2, 0, 2. Between 1 and 2: (1/2 + 1/2)^2 = 1, twice observed. Expected, each twice,
    # over n - 1 = 5: 1*1*1 + 1*2*2.5^2 + 1*2*4.5^2 (from 1) + 1*2*1.5^2 + 1*2*3.5^2 (from 2) + 2*2*2^2.
    expected = 2 * (1 + 12.5 + 40.5 + 4.5 + 24.5 + 16) / 5
    assert found["ratings"].value == pytest.approx(1 - 2 / expected)
