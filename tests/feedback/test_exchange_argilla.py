"""Argilla's records in each of their four forms, and what of their questions is a judgement."""

import copy
import random
from typing import Any

import pytest

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.argilla import NO_STATUS, read_record
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Bad, Item, Names, Reading, Remark, read
from tasks.feedback.pairs import pairs_of

CALLED = Pseudonyms(b"sixteen bytes or more")
FIELDS = {"prompt": "Which is best?", "response-1": "one", "response-2": "two", "response-3": "three"}
ANNA, BERT = "3e760b76-e19a-480a-b436-a85812b98843", "5f3a2bb1-0d4f-4b6c-9d55-5c3d3b0d0001"


def ranks(*given: int | None) -> list[dict[str, Any]]:
    return [{"value": f"response-{place}", "rank": rank} for place, rank in enumerate(given, 1)]


def response(user: str = ANNA, status: str | None = "submitted", **values: Any) -> dict[str, Any]:
    return {
        "user_id": user,
        "status": status,
        "values": {name: {"value": value} for name, value in values.items()},
    }


def record(*responses: dict[str, Any], fields: dict[str, Any] = FIELDS) -> dict[str, Any]:
    return {
        "id": "r1",
        "external_id": "mine-1",
        "fields": fields,
        "metadata": {},
        "responses": list(responses),
    }


def found(values: dict[str, Any], **given: str) -> list[Any]:
    return [
        what for _, what in read([Item(1, 1, values, "", "")], read_record, Reading(CALLED, Names(given)))
    ]


@pytest.mark.parametrize("given", [(2, 1, 3), (1, 1, 2), (1, 1, 1)])
def test_equal_ranks_tie(given: tuple[int, ...]) -> None:
    [event] = found(record(response(preference=ranks(*given))))
    assert event.judgement.ranks == given
    assert [answer.text for answer in event.answers] == ["one", "two", "three"]
    assert (event.prompt, event.annotator) == ("Which is best?", CALLED.shown(ANNA))


def test_options_may_be_named_by_number_and_in_any_order() -> None:
    value = [
        {"value": "reply-2", "rank": 1},
        {"value": "reply-3", "rank": 2},
        {"value": "reply-1", "rank": 2},
    ]
    [event] = found(record(response(preference=value)))
    assert event.judgement.ranks == (2, 1, 2)


def test_a_ranking_without_ranks_is_set_aside() -> None:
    """SDK 2 writes the options as they were declared: read as an order, ties would become preferences."""
    values = record() | {
        "responses": {"preference": [{"value": ["response-1", "response-2", "response-3"], "user_id": ANNA}]}
    }
    remark, bad = found(values)
    assert remark == Remark(NO_STATUS)
    assert "without ranks" in bad.reason


def test_states_of_several_users() -> None:
    submitted, discarded, draft = found(
        record(
            response(preference=ranks(1, 2, 3)),
            response(BERT, "discarded", preference=ranks(3, 2, 1)),
            response("c", "draft", preference=ranks(3, 2, 1)),
        )
    )
    assert submitted.judgement.kind == "ranking"
    assert discarded.judgement.kind == "skip"
    assert pairs_of(discarded) == []
    assert draft == Remark("a draft")
    assert submitted.annotator != discarded.annotator


def test_the_forms_agree() -> None:
    """The same two users' ratings and comment, as the HTTP API, to_json, to_list and SDK 1 give them."""
    fields = {"instruction": "Why?", "response": "So."}
    said = {ANNA: (5, "clear"), BERT: (2, "vague")}
    api = record(
        *(response(user, rating=mark, reason=text) for user, (mark, text) in said.items()), fields=fields
    )
    to_json = record(fields=fields) | {
        "responses": {
            "rating": [{"user_id": user, "value": mark} for user, (mark, _) in said.items()],
            "reason": [{"user_id": user, "value": text} for user, (_, text) in said.items()],
        }
    }
    flat = fields | {
        "id": "mine-1",
        "rating.responses": [5, 2],
        "rating.responses.users": list(said),
        "rating.responses.status": ["submitted"] * 2,
        "reason.responses": ["clear", "vague"],
        "reason.responses.users": list(said),
        "reason.responses.status": ["submitted"] * 2,
        "reason.suggestion": "a model's",
    }
    sdk1 = fields | {
        "external_id": "mine-1",
        "metadata": "{}",
        "rating": [
            {"user_id": user, "value": mark, "status": "submitted"} for user, (mark, _) in said.items()
        ],
        "reason": {"user_id": list(said), "value": ["clear", "vague"], "status": ["submitted"] * 2},
        "rating-suggestion": 3,
    }
    by_api = found(api)
    assert [(event.judgement.ratings, event.comment) for event in by_api] == [
        ((5,), "clear"),
        ((2,), "vague"),
    ]
    assert found(flat) == found(sdk1) == by_api
    assert [what for what in found(to_json) if what != Remark(NO_STATUS)] == by_api


def test_rankings_of_sdk_1_as_datasets_keeps_them() -> None:
    value = {"rank": [2, 1, 1], "value": ["response-1", "response-2", "response-3"]}
    column = [{"user_id": ANNA, "value": value, "status": "submitted"}]
    [event] = found(FIELDS | {"preference": column, "external_id": None})
    assert event.judgement.ranks == (2, 1, 1)


TWO = {"prompt": "Which?", "response-1": "one", "response-2": "two"}


@pytest.mark.parametrize(("label", "chosen"), [("response-2", 1), ("2", 1), ("A", 0), ("Tie", None)])
def test_labels_are_choices(label: str, chosen: int | None) -> None:
    [event] = found(record(response(better=label), fields=TWO))
    assert event.judgement.kind == "choice"
    assert event.judgement.chosen == chosen


def test_ratings_thumbs_and_corrections_are_of_the_answer_they_name() -> None:
    marks = response(**{"response-2_rating": 1, "response-1_rating": 4})
    thumbs = response(**{"thumb-1": "down", "thumb-2": "up"})
    text = response(**{"corrected-2": "Two, by far."})
    assert found(record(marks, fields=TWO))[0].judgement.ratings == (4, 1)
    assert found(record(thumbs, fields=TWO))[0].judgement.up == (False, True)
    [event] = found(record(text, fields=TWO))
    assert (event.judgement.corrected, event.judgement.text) == (1, "Two, by far.")


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        ({"quality": 4}, "does not say which of the 2 answers"),
        ({"rating-1": 4}, "answer 2 of 2 has not been given a rating"),
        ({"topic": "sports"}, "`sports` has no meaning"),
        ({"rank": ranks(1)}, "does not rank each of response-1, response-2 once"),
        ({"rank": ranks(1, None)}, "is missing"),
        ({}, "says nothing"),
        ({"topics": ["a", "b"]}, "without ranks"),
    ],
)
def test_what_cannot_be_understood_is_set_aside(answered: dict[str, Any], reason: str) -> None:
    bad, event = found(record(response(**answered), response(BERT, better="tie"), fields=TWO))
    assert reason in bad.reason
    assert isinstance(event, FeedbackEvent)


def test_a_record_without_responses_is_counted() -> None:
    assert found(record()) == [Remark("a record without responses")]


def test_no_form_of_a_record_ends_the_import() -> None:
    """Replace any one part of a record by anything: it gives an event, a remark, or a reason."""
    column = {"user_id": [ANNA], "value": [{"rank": [1, 2], "value": ["1", "2"]}], "status": ["submitted"]}
    wholes: list[dict[str, Any]] = [
        record(response(preference=ranks(1, 2, 3), comment="c")),
        FIELDS | {"preference.responses": [[]], "preference.responses.users": [ANNA]},
        TWO | {"preference": column},
    ]
    draw = random.Random(1)
    for number in range(600):
        values = copy.deepcopy(wholes[number % 3])
        at: Any = values
        while True:
            key = draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
            if not at[key] or not isinstance(at[key], dict | list) or draw.random() < 0.3:
                break
            at = at[key]
        at[key] = draw.choice((None, 7, "x", [], {}, [None], {"x": 1}, True, 1.5, ["x"], [[]]))
        for _, what in read([Item(1, 1, values, "", "")], read_record, Reading(CALLED)):
            assert isinstance(what, FeedbackEvent | Bad | Remark)
