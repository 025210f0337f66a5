"""The audit as a whole: contradictions and coverage counted by hand, populations apart, and the page."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from tasks.feedback.annotator_audit import beside_others
from tasks.feedback.audit import FeedbackAudit, audit, headline
from tasks.feedback.audit_page import bar, percent, points, render_audit, span
from tasks.feedback.contradictions import find_contradictions, goes_round
from tasks.feedback.coverage import cover
from tasks.feedback.events import FeedbackEvent, Shown
from tasks.feedback.verdicts import opinions_of, population_of, verdicts_of
from tasks.ml.metrics import Interval

COUNTER = iter(range(10_000))


def event(annotator: str, placed: str, **changes: Any) -> FeedbackEvent:
    """`a>b=c` ranks a first, then b and c; `F` before a name is no rank; the order is that of display."""
    texts, ranks, rank = [], [], 1
    for sign, fail, text in re.findall(r"([>=]?)(F?)(\w+)", placed):
        rank += sign == ">"
        texts.append(text)
        ranks.append(None if fail else rank)
    fields = {
        "id": f"{next(COUNTER)}",
        "row": "q1",
        "task": "lookup",
        "prompt": "secret prompt",
        "answers": [Shown(text=text, model=f"model of {text}", stopped=True) for text in texts],
        "judgement": {"kind": "ranking", "ranks": ranks},
        "annotator": annotator,
        "comment": "secret comment",
        "created_at": None,
        "source": "import",
        "simulated": False,
    }
    return FeedbackEvent.model_validate(fields | changes)


SKIP = {"judgement": {"kind": "skip"}}


def contradictions(events: list[FeedbackEvent]) -> Any:
    verdicts = verdicts_of(events)
    return find_contradictions(verdicts, opinions_of(verdicts))


def test_an_annotator_who_says_both() -> None:
    found = contradictions(
        [event("anna", "a>b>c"), event("anna", "b>a"), event("anna", "b>c"), event("anna", "a=c")]
    )
    # a, b both ways; b, c twice the same; a, c once, as a tie decides nothing.
    assert (found.repeated, found.reversed, found.circles) == (2, 1, 0)
    assert found.by_annotator == {"anna": 1}
    assert found.questions == ("q1",)
    # On another question it is no contradiction, nor from somebody else.
    apart = contradictions([event("anna", "a>b"), event("anna", "b>a", row="q2"), event("bert", "b>a")])
    assert (apart.repeated, apart.reversed, apart.by_annotator) == (0, 0, {})


def test_preferences_that_go_round() -> None:
    found = contradictions([event("anna", "a>b"), event("anna", "b>c"), event("anna", "c>a")])
    assert (found.circles, found.reversed, found.by_annotator) == (1, 0, {"anna": 1})
    straight = contradictions([event("anna", "a>b"), event("anna", "b>c"), event("anna", "a>c")])
    assert straight.circles == 0
    # Three people who each say one of it make no circle of one.
    several = contradictions([event("anna", "a>b"), event("bert", "b>c"), event("c", "c>a")])
    assert several.circles == 0
    assert goes_round({("a", "b"): 1, ("b", "c"): 1, ("c", "d"): 1, ("a", "d"): -1})
    assert not goes_round({("a", "b"): 1, ("b", "c"): 1, ("c", "d"): 1, ("a", "d"): 1})


def test_disputes_are_among_pairs_that_two_decided() -> None:
    events = [event("anna", "a>b>c"), event("bert", "b>a=c"), event("c", "a>b")]
    # a, b: 1, -1, 1. b, c: 1, 1. a, c: bert ties.
    found = contradictions(events)
    assert (found.shared, found.disputed) == (2, 1)


def test_coverage_by_hand() -> None:
    events = [
        event("anna", "a>b=c"),
        event("bert", "a>Fb>Fc"),
        event("bert", "a=b", row="q2", task="open"),
        event("anna", "d>e", row="q3", **SKIP),
    ]
    found = cover("all", events)
    assert (found.events, found.skips, found.questions, found.annotators, found.models) == (4, 1, 3, 2, 5)
    # anna: 3 pairs, one ties; bert: 2 pairs, two F are none; and one that ties.
    assert found.pairs == 6
    assert found.tie_share == pytest.approx(2 / 6)
    assert found.fail_share == pytest.approx(2 / 8)
    assert cover("none", []).tie_share is None


def test_what_is_longer_beside_others() -> None:
    by_annotator = {
        "anna": {("a", "bbb"): -1, ("a", "cc"): 1, ("bbb", "cc"): 0, ("bbb", "dd"): 1},
        "bert": {("a", "bbb"): -1, ("a", "cc"): -1},
        "c": {("a", "bbb"): 1, ("bbb", "cc"): 1},
    }
    longer, others, same = beside_others("anna", by_annotator)
    # Longer: bbb over a, not cc over a, and a tie of bbb and cc. d was judged by nobody else.
    assert longer == (1.5, 3)
    # On a, bbb bert says the longer and c the shorter; on a, cc bert the longer; on bbb, cc c the longer.
    assert others == (0.5 + 1 + 1, 3)
    assert same == (1, 4)


def mixed() -> list[FeedbackEvent]:
    simulated = {"source": "simulated", "simulated": True}
    return [
        event("anna", "a>b"),
        event("bert", "a>b"),
        event("anna", "c>d", row="q2"),
        event("bert", "d>c", row="q2"),
        event("judge", "a>b", source="ai", simulated=True),
        event("sim-1", "b>a", **simulated),
        event("sim-2", "b>a", **simulated),
        event("sim-3", "x>y", row="q9", source="import", simulated=True),
    ]


def test_people_ai_and_simulations_are_never_mixed() -> None:
    people, ai, simulated = audit(mixed(), seed=1).populations
    assert [part.population for part in (people, ai, simulated)] == ["people", "ai", "simulated"]
    assert [part.coverage.events for part in (people, ai, simulated)] == [4, 1, 3]
    assert {one.name for one in people.annotators} == {"anna", "bert"}
    # Among people alone: a, b the same, c, d opposite; n = 4, three of one and one of the other.
    assert people.alphas[0].value == pytest.approx(0)
    assert (people.contradictions.shared, people.contradictions.disputed) == (2, 1)
    assert ai.alphas[0].value is None
    assert ai.judges == {1: 1}
    assert simulated.alphas[0].value is None
    assert simulated.judges == {1: 1, 2: 1}
    assert simulated.overlap_share == 0.5
    assert population_of(mixed()[-1]) == "simulated"
    with_others, alone = audit(mixed(), 1), audit(mixed()[:4], 1)
    assert with_others.populations[0].model_dump(exclude={"by_source"}) == alone.populations[0].model_dump(
        exclude={"by_source"}
    )


def test_the_headline_names_whose_figures_they_are() -> None:
    figures = headline(audit(mixed(), seed=1))
    assert figures["people_alpha"] == pytest.approx(0)
    assert figures["ai_alpha"] is None
    assert figures["people_disputed_pairs"] == 1
    assert figures["people_tie_share"] == 0
    assert figures["simulated_flagged_annotators"] == 0
    assert len(figures) == 15


def test_what_is_replaced_does_not_count() -> None:
    first = event("anna", "a>b")
    found = audit([first, event("anna", "b>a", replaces=first.id), event("bert", "b>a")], 1)
    assert (found.events, found.replaced) == (3, 1)
    assert found.populations[0].contradictions.disputed == 0
    assert audit([], 1) == FeedbackAudit(events=0, replaced=0, populations=())


def test_a_correction_is_no_comparison() -> None:
    """The annotator's own answer is longer and was never shown; it once counted as preferred for that."""
    mended = {"kind": "correction", "corrected": 0, "text": "a far longer answer"}
    [part] = audit([event("anna", "a>b", judgement=mended)], 1).populations
    assert (part.coverage.pairs, part.coverage.events) == (0, 1)
    assert part.annotators[0].first_wins is None


def test_figures_stay_the_same_and_survive_json() -> None:
    found = audit(mixed(), seed=1)
    assert audit(mixed(), seed=1) == found
    assert FeedbackAudit.model_validate_json(found.model_dump_json()) == found
    assert np.isfinite(found.populations[0].annotators[0].first_wins.value)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_is_safe_and_shows_no_words() -> None:
    events = [*mixed(), event("<script>alert(1)</script>", "a>b", task="<img src=x>")]
    page = render_audit(audit(events, 1), "<i>file</i>")
    tags = _Tags()
    tags.feed(page)
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "img", "i", "link", "iframe"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "secret" not in page
    loaded = [value for _, given in tags.seen for name, value in given.items() if name in ("src", "href")]
    assert all(value is not None and value.startswith("#") for value in loaded)
    assert page.count("These judgements are simulated, not made by people.") == 1
    scrolled = [given for tag, given in tags.seen if tag == "div" and given.get("class") == "scroll"]
    assert scrolled
    assert all(given["tabindex"] == "0" and given["aria-label"] for given in scrolled)


def test_the_page_of_nothing_and_of_many() -> None:
    assert "nothing to audit yet" in render_audit(audit([], 1), "x")
    many = [event(f"annotator-{number}", "a>b") for number in range(14)]
    assert "Those who agree least, of 91" in render_audit(audit(many, 1), "x")


def test_how_figures_are_written() -> None:
    assert percent(0.126) == "13\u00a0%"
    assert span(Interval(0.5, 0.25, 0.75, 4)) == "50\u00a0% [25 to 75]"
    # -0.1 points used to be written as minus nought.
    assert points(Interval(-0.001, -0.2, 0.1, 4)) == "+0 [\u221220 to +10]"
    assert (percent(None), span(None), points(None)) == ("–", "–", "–")
    shown = bar(0.75, 0.5, 1.0, (0, 1))
    assert (shown.left, shown.width, shown.point, shown.middle) == (50, 50, 75, 50)
