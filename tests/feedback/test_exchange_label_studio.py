"""Label Studio's export as its documentation shows it: what each control says, and what says nothing."""

import copy
import random
from typing import Any

import pytest

from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.label_studio import read_task
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Bad, Item, Names, Reading, Remark, read
from tasks.feedback.pairs import pairs_of

CALLED = Pseudonyms(b"sixteen bytes or more")
PAIR = {
    "prompt": "The quick brown fox...",
    "answer1": "jumps over the lazy dog.",
    "answer2": "bags few lynx.",
}
ITEMS = [
    {"id": "llm_1", "title": "LLM 1", "body": "Wars led to library's ruin."},
    {"id": "llm_2", "title": "LLM 2", "body": "Library's end through various wars."},
    {"id": "llm_3", "title": "LLM 3", "body": "Ruin resulted from library wars."},
]
RANKED = {"prompt": "What caused the library of Alexandria to be destroyed?", "items": ITEMS}


def annotation(*results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": 1001,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2021-03-09T22:16:08.728353Z",
        "lead_time": 4.288,
        "task": 1,
        "completed_by": 10,
    } | changes


def result(
    kind: str, about: str = "answer1,answer2", name: str = "comparison", **value: Any
) -> dict[str, Any]:
    return {"from_name": name, "id": "Dx_aB91ISN", "to_name": about, "type": kind, "value": value}


def found(data: dict[str, Any], *annotations: dict[str, Any], **given: str) -> list[Any]:
    task = {"id": 1, "project": 83, "data": data, "annotations": list(annotations), "predictions": []}
    rows = [Item(1, 1, task, "", "")]
    return [what for _, what in read(rows, read_task, Reading(CALLED, Names(given)))]


def ranker(**buckets: list[str]) -> dict[str, Any]:
    return annotation(result("ranker", "answers", "rank", ranker=buckets))


@pytest.mark.parametrize(("side", "better"), [("left", "answer1"), ("right", "answer2")])
def test_the_side_selected_is_the_better_one(side: str, better: str) -> None:
    [event] = found(PAIR, annotation(result("pairwise", selected=side)))
    [pair] = pairs_of(event)
    assert pair.chosen == PAIR[better]
    assert [answer.text for answer in event.answers] == [PAIR["answer1"], PAIR["answer2"]]
    assert event.prompt == PAIR["prompt"]
    assert event.created_at == "2021-03-09T22:16:08.728353Z"
    assert event.annotator == CALLED.shown("label-studio:10")
    assert (event.source, event.simulated) == ("import", False)


@pytest.mark.parametrize("label", ["tie", "Tie", "equally_good"])
def test_a_tie_is_no_preference(label: str) -> None:
    [event] = found(PAIR, annotation(result("choices", "prompt", choices=[label])))
    assert event.judgement.chosen is None
    assert pairs_of(event) == []


@pytest.mark.parametrize(
    "skipped",
    [
        annotation(result("choices", "prompt", choices=["cannot judge"])),
        annotation(was_cancelled=True),
        annotation(result("pairwise", selected="left"), was_cancelled=True),
        # A choice that was taken back leaves an empty result.
        annotation(),
    ],
)
def test_skips_are_events_and_no_preferences(skipped: dict[str, Any]) -> None:
    [event] = found(PAIR, skipped)
    assert event.judgement.kind == "skip"
    assert pairs_of(event) == []


def test_labels_and_fields_have_the_names_that_they_are_given() -> None:
    data = {"q": "Why?", "mine": "a", "theirs": "b"}
    given = {"prompt": "q", "left": "mine", "right": "theirs", "tie": "Both are fine"}
    [tie] = found(data, annotation(result("choices", choices=["Both are fine"])), **given)
    [right] = found(data, annotation(result("pairwise", selected="right")), **given)
    assert tie.judgement.chosen is None
    assert pairs_of(right)[0].chosen == "b"


def test_annotators_keep_apart() -> None:
    left, right = (
        annotation(result("pairwise", selected=side), completed_by={"id": id, "email": email}, id=id)
        for side, id, email in (("left", 1, "anna@example.org"), ("right", 2, "bert@example.org"))
    )
    first, second = found(PAIR, left, right)
    assert first.annotator != second.annotator
    assert "@" not in first.annotator + second.annotator
    assert first.row == second.row
    assert (first.judgement.chosen, second.judgement.chosen) == (0, 1)


@pytest.mark.parametrize(
    ("buckets", "ranks"),
    [
        # Without buckets: one list under the control's name, in the order of rank.
        ({"rank": ["llm_2", "llm_3", "llm_1"]}, (3, 1, 2)),
        ({"1": ["llm_2"], "2": ["llm_3", "llm_1"]}, (2, 1, 2)),
        ({"rank_1": ["llm_3"], "rank_2": [], "F": ["llm_2", "llm_1"], "_": []}, (None, None, 1)),
        ({"1": ["llm_1", "llm_2", "llm_3"]}, (1, 1, 1)),
    ],
)
def test_buckets_are_ranks_with_ties_and_fails(
    buckets: dict[str, Any], ranks: tuple[int | None, ...]
) -> None:
    [event] = found(RANKED, ranker(**buckets))
    assert event.judgement.ranks == ranks
    assert [answer.text for answer in event.answers] == [item["body"] for item in ITEMS]


def test_buckets_of_other_names_need_a_rank() -> None:
    buckets = {"best": ["llm_2"], "poor": ["llm_1"], "ads": ["llm_3"]}
    [bad] = found(RANKED, ranker(**buckets))
    assert "bucket `best` has no rank" in bad.reason
    [event] = found(RANKED, ranker(**buckets), **{"1": "best", "2": "poor", "F": "ads"})
    assert event.judgement.ranks == (2, 1, None)


def test_a_ranker_that_nobody_touched_is_a_skip() -> None:
    [event] = found(RANKED, ranker(_=["llm_1", "llm_2", "llm_3"], best=[]))
    assert event.judgement.kind == "skip"


@pytest.mark.parametrize(
    ("buckets", "reason"),
    [
        ({"1": ["llm_1"], "_": ["llm_2", "llm_3"]}, "2 of 3 answers were moved to no bucket"),
        ({"1": ["llm_1", "llm_2"]}, "a ranking of llm_1, llm_2, but the answers are llm_1, llm_2, llm_3"),
        ({"1": ["llm_1", "llm_2"], "2": ["llm_3", "llm_1"]}, "the answers are"),
        ({"0": ["llm_1", "llm_2", "llm_3"]}, "ranks start at 1"),
    ],
)
def test_half_a_ranking_is_set_aside(buckets: dict[str, Any], reason: str) -> None:
    [bad] = found(RANKED, ranker(**buckets))
    assert isinstance(bad, Bad)
    assert reason in bad.reason


def test_ratings_thumbs_and_texts() -> None:
    stars = annotation(result("rating", "answer1", rating=5), result("rating", "answer2", rating=2))
    thumbs = annotation(
        result("choices", "answer1", choices=["up"]), result("choices", "answer2", choices=["bad"])
    )
    written = annotation(
        result("textarea", "answer2", "correction", text=["Bags", "few."]),
        result("textarea", "prompt", "why", text=["It was wrong."]),
    )
    assert found(PAIR, stars)[0].judgement.ratings == (5, 2)
    assert found(PAIR, thumbs)[0].judgement.up == (True, False)
    [event] = found(PAIR, written)
    assert (event.judgement.corrected, event.judgement.text) == (1, "Bags\nfew.")
    assert event.comment == "It was wrong."


def test_a_choice_and_ratings_are_two_judgements() -> None:
    both = annotation(
        result("rating", "answer1", rating=5),
        result("rating", "answer2", rating=2),
        result("pairwise", selected="left"),
    )
    events = found(PAIR, both)
    assert [event.judgement.kind for event in events] == ["choice", "ratings"]
    assert len({event.id for event in events}) == 2


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([result("pairwise", selected="left"), result("choices", "prompt", choices=["tie"])], "contradict"),
        ([result("pairwise", selected="none")], "neither left nor right"),
        ([result("rating", "answer1", rating=5)], "answer 2 of 2 has not been given a rating"),
        ([result("choices", "prompt", choices=["sports"])], "`sports` has no meaning"),
        ([result("choices", "prompt", choices=["up"])], "which of the 2 answers"),
        ([result("rectanglelabels", "img", x=1)], "type `rectanglelabels`"),
        ([result("textarea", "prompt", "why", text=["Hm."])], "says nothing"),
    ],
)
def test_a_bad_annotation_leaves_the_others(results: list[dict[str, Any]], reason: str) -> None:
    bad, event = found(PAIR, annotation(*results), annotation(result("pairwise", selected="left"), id=2))
    assert reason in bad.reason
    assert isinstance(event, FeedbackEvent)


def test_tasks_that_nobody_labelled_are_counted() -> None:
    assert found(PAIR) == [Remark("a task without annotations")]


def test_the_same_text_twice_is_no_preference() -> None:
    [event] = found(PAIR | {"answer2": PAIR["answer1"]}, annotation(result("pairwise", selected="left")))
    assert pairs_of(event) == []


def test_no_form_of_a_row_ends_the_import() -> None:
    """Replace any one part of an export by anything: it gives an event, a remark, or a reason."""
    whole = {
        "id": 1,
        "data": RANKED | {"context": "c"},
        "annotations": [ranker(**{"1": ["llm_1"], "2": ["llm_2"], "F": ["llm_3"]})],
    }
    draw = random.Random(1)
    for _ in range(400):
        task = copy.deepcopy(whole)
        at: Any = task
        while True:
            key = draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
            if not at[key] or not isinstance(at[key], dict | list) or draw.random() < 0.3:
                break
            at = at[key]
        at[key] = draw.choice((None, 7, "x", [], {}, [None], {"x": 1}, True, 1.5, ["x"], [[]]))
        rows = [Item(1, 1, task, "", "")]
        for _, what in read(rows, read_task, Reading(CALLED)):
            assert isinstance(what, FeedbackEvent | Bad | Remark)
