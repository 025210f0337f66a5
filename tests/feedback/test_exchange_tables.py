"""Tables of judgements: columns by name, ties and fails, one answer a row, and chat messages as prompts."""

from typing import Any

import pytest

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.formats import FORMATS, read_as, recognise
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Bad, Item, Names, Reading, Remark
from tasks.feedback.pairs import Pair, pairs_of

CALLED = Pseudonyms(b"sixteen bytes or more")
PAIR = {"prompt": "Why?", "chosen": "good", "rejected": "bad"}


def found(form: str, *rows: dict[str, Any], scale: tuple[float, float] = (1, 5), **given: str) -> list[Any]:
    items = [Item(number, number, row, f"raw {number}") for number, row in enumerate(rows, 1)]
    return [what for _, what in read_as(form, items, Reading(CALLED, Names(given), scale=scale))]


def preferred(event: FeedbackEvent) -> set[tuple[str, str]]:
    return {(pair.chosen, pair.rejected) for pair in pairs_of(event)}


def test_a_pair_is_a_choice() -> None:
    [event] = found(
        "pairs", PAIR | {"annotator": "anna@example.org", "task": "lookup", "comment": "c", "id": 7}
    )
    assert pairs_of(event) == [Pair(event.row, "good", "bad")]
    assert (event.task, event.comment, event.annotator) == ("lookup", "c", CALLED.shown("anna@example.org"))
    assert {answer.model for answer in event.answers} == {"unknown"}


def test_the_chosen_one_is_not_always_the_first() -> None:
    """Were it, a model or a baseline that always takes the first would be right about every imported pair."""
    rows = [PAIR | {"prompt": f"Why {number}?"} for number in range(200)]
    turned = [{**row, "chosen": "bad", "rejected": "good"} for row in rows]
    first = [event.judgement.chosen == 0 for event in found("pairs", *rows)]
    assert 70 < sum(first) < 130
    # The order depends on the texts alone, so the opposite preference is displayed in the same order.
    assert [event.judgement.chosen == 1 for event in found("pairs", *turned)] == first


@pytest.mark.parametrize("yes", [True, 1, 1.0, "true", "Yes", "1"])
def test_a_tie_is_no_preference(yes: Any) -> None:
    [event] = found("pairs", PAIR | {"tie": yes})
    assert event.judgement.chosen is None
    assert pairs_of(event) == []


@pytest.mark.parametrize("no", [False, 0, "false", "No", "", None])
def test_no_tie_is_a_preference(no: Any) -> None:
    assert preferred(found("pairs", PAIR | {"tie": no})[0]) == {("good", "bad")}


def test_a_skip_is_an_event_and_no_preference() -> None:
    [event] = found("pairs", PAIR | {"skip": "yes"})
    assert event.judgement.kind == "skip"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rejected": "good"}, "same text"),
        ({"chosen": None}, "`chosen` is missing"),
        ({"chosen": " "}, "`chosen` is empty"),
        ({"prompt": 7}, "`prompt` is int, not text"),
        ({"tie": "maybe"}, "neither true nor false"),
        ({"prompt": []}, "`prompt` is empty"),
        ({"prompt": [{"role": "user"}]}, "is missing"),
        ({"prompt": [{"role": "user", "content": [{"type": "image"}]}]}, "not text"),
        ({"chosen": [{"role": "user", "content": "x"}]}, "ends with a message of the user"),
        ({"created_at": "yesterday"}, "not ISO 8601"),
        ({"annotator": True}, "neither text nor a whole number"),
        ({"prompt": "a\0b"}, "NUL character"),
        ({"prompt": "\ud800"}, "not valid UTF-8"),
    ],
)
def test_a_bad_pair_says_why_and_leaves_the_others(changes: dict[str, Any], reason: str) -> None:
    bad, event = found("pairs", PAIR | changes, PAIR)
    assert isinstance(bad, Bad)
    assert reason in bad.reason
    assert preferred(event) == {("good", "bad")}


def test_messages_become_text() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        {"role": "user", "content": "Why?"},
    ]
    answer = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "good"}]
    rows = [
        {"prompt": turns[2:]},
        {"prompt": turns},
        {"prompt": "Why?", "chosen": answer},
        {"context": "Facts."},
    ]
    prompts = [event.prompt for event in found("pairs", *(PAIR | row for row in rows))]
    assert prompts == ["Why?", "User: Hi\n\nAssistant: Hello\n\nUser: Why?", "Why?", "Facts.\nWhy?"]


def test_contradictory_rows_stay_as_they_are() -> None:
    turned = {"prompt": "Why?", "chosen": "bad", "rejected": "good"}
    first, second, again = found("pairs", PAIR, turned, PAIR)
    assert first.row == second.row
    assert first.id != second.id
    assert preferred(first) | preferred(second) == {("good", "bad"), ("bad", "good")}
    assert again == first


def test_only_a_row_that_is_named_joins_a_dataset() -> None:
    """A foreign column called `row` would put questions together that have nothing in common."""
    row = PAIR | {"row": "17", "qid": "food-1"}
    assert found("pairs", row)[0].row.startswith("import-")
    assert found("pairs", row, row="qid")[0].row == "food-1"


def test_comparisons_are_in_the_order_of_combinations() -> None:
    row = {"prompt": "Why?", "answers": ["a", "b", "c"], "preferences": [0, 2, 1]}
    events = found("comparisons", row)
    # (a, b) tie; of (a, c) the second; of (b, c) the first.
    assert [preferred(event) for event in events] == [set(), {("c", "a")}, {("b", "c")}]
    assert [event.judgement.chosen for event in events] == [None, 1, 0]


def test_of_comparisons_only_the_bad_ones_are_set_aside() -> None:
    row = {"prompt": "Why?", "answers": ["a", "a", "c"], "preferences": [1, None, 1]}
    bad, remark, event = found("comparisons", row)
    assert "the same text" in bad.reason
    assert remark == Remark("a pair without a preference")
    assert preferred(event) == {("a", "c")}
    [bad] = found("comparisons", row | {"preferences": [1, 2]})
    assert bad.reason == "2 preferences, but 3 pairs of 3 answers"
    [bad] = found("comparisons", row | {"preferences": [1, 2, 3]})
    assert "3, not 0 (tie)" in bad.reason


def test_ratings_move_to_our_scale_in_a_straight_line() -> None:
    row = {"prompt": "Why?", "answers": ["a", "b", "c", "d"], "ratings": [1, 2, "3", 4]}
    [event] = found("ratings", row, scale=(1, 4))
    assert event.judgement.ratings == pytest.approx((1, 1 + 4 / 3, 1 + 8 / 3, 5), abs=1e-12)
    assert event.judgement.ratings[-1] == 5
    [same] = found("ratings", row)
    assert same.judgement.ratings == (1, 2, 3, 4)
    [bad] = found("ratings", row, scale=(1, 3))
    assert bad.reason == "`ratings` is 4, off the scale of 1 to 3"


def test_rows_of_one_group_are_one_judgement() -> None:
    rows = [
        {"prompt": "Why?", "answer": "a", "rating": 1, "q": 1},
        {"prompt": "How?", "answer": "x", "rating": 5, "q": 2},
        {"prompt": "Why?", "answer": "b", "rating": 3, "q": 1},
    ]
    why, how = found("ratings", *rows, group="q")
    assert [answer.text for answer in why.answers] == ["a", "b"]
    assert why.judgement.ratings == (1, 3)
    assert how.judgement.ratings == (5,)
    assert [event.judgement.ratings for event in found("ratings", *rows)] == [(1,), (5,), (3,)]
    [bad] = found("ratings", rows[0], rows[1] | {"q": 1}, group="q")
    assert bad.reason == "the rows of group `1` ask different questions, or name different annotators"


def test_rankings_with_ties_and_fails() -> None:
    [event] = found("rankings", {"prompt": "Why?", "answers": '["a", "b", "c"]', "ranks": [2, None, 2]})
    assert event.judgement.ranks == (2, None, 2)
    rows = [
        {"prompt": "Why?", "answer": text, "rank": rank, "g": "1"}
        for text, rank in (("a", "2"), ("b", "F"), ("c", "1"))
    ]
    [event] = found("rankings", *rows, group="g")
    assert event.judgement.ranks == (2, None, 1)
    # An empty cell is no F.
    [bad] = found("rankings", *rows, rows[0] | {"rank": ""}, group="g")
    assert bad.reason == "`ranks` is missing"
    [bad] = found("rankings", {"prompt": "Why?", "answers": ["a", "b"], "ranks": [1, 1.5]})
    assert "not a rank" in bad.reason
    [bad] = found("rankings", {"prompt": "Why?", "answers": ["a"], "ranks": [1]})
    assert "judgement" not in bad.reason
    assert "ranks" in bad.reason


def test_thumbs() -> None:
    row = {"prompt": "Why?", "completion": "a", "label": False}
    [event] = found("thumbs", row, answer="completion", up="label")
    assert event.judgement.up == (False,)
    [event] = found("thumbs", {"prompt": "Why?", "answers": ["a", "b"], "up": ["up", "down"]})
    assert preferred(event) == {("a", "b")}
    [bad] = found("thumbs", {"prompt": "Why?", "answers": ["a", "b"], "up": [True, None]})
    assert bad.reason == "`up` is missing for an answer"


def test_models_stay_with_their_answers() -> None:
    rows = [PAIR | {"prompt": f"Why {n}?", "chosen_model": "m1", "rejected_model": "m2"} for n in range(8)]
    [bad] = found("thumbs", {"prompt": "Why?", "answers": ["a"], "up": [True], "models": ["m", "n"]})
    assert bad.reason == "2 models for 1 answers"
    for event in found("pairs", *rows):
        assert {answer.text: answer.model for answer in event.answers} == {"good": "m1", "bad": "m2"}


@pytest.mark.parametrize(
    ("columns", "given", "form"),
    [
        ({"prompt", "chosen", "rejected"}, {}, "pairs"),
        ({"q", "better", "worse"}, {"prompt": "q", "chosen": "better", "rejected": "worse"}, "pairs"),
        ({"id", "data", "annotations", "predictions"}, {}, "label-studio"),
        ({"id", "fields", "responses", "metadata"}, {}, "argilla"),
        ({"text", "label.responses", "label.responses.users"}, {}, "argilla"),
        ({"prompt", "answers", "judgement", "annotator"}, {}, "events"),
        ({"prompt", "answer", "rating", "x"}, {}, "ratings"),
        ({"prompt", "answers", "ranks"}, {}, "rankings"),
        ({"prompt", "completion", "label"}, {"answer": "completion", "up": "label"}, "thumbs"),
        ({"prompt", "answers", "preferences"}, {}, "comparisons"),
        ({"prompt", "completion"}, {}, None),
    ],
)
def test_formats_are_recognised_by_their_columns(
    columns: set[str], given: dict[str, str], form: str | None
) -> None:
    assert recognise(dict.fromkeys(columns), given) == form
    assert form is None or form in FORMATS
