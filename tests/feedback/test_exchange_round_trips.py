"""Out and in again: events come back equal from every format that can hold them, and the rest is counted."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from flows.feedback_export import export_feedback
from flows.feedback_import import Source, import_feedback, read_source
from tasks.feedback.events import FeedbackEvent
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Reading
from tasks.feedback.store.event_store import EventStore

READING = Reading(Pseudonyms(b"sixteen bytes or more"))
# What breaks careless formats: quotes, separators, breaks of lines of all kinds, blanks, formulas, emptiness.
TEXTS = (
    'a "quoted", cell',
    "two\nlines\r\nand\ta tab",
    "a lone \r return",
    "  blanks  ",
    "=1+1",
    "\u2028 \u0085 caf\u00e9 \U0001f9c8",
    r"\u0000 and \n as letters",
    "[1, 2]",
    "",
    "null",
)
KINDS = ("ranking", "choice", "ratings", "thumbs", "correction", "skip")


def judgement(kind: str, count: int, draw: random.Random) -> dict[str, Any]:
    says: dict[str, Callable[[], dict[str, Any]]] = {
        "ranking": lambda: {"ranks": tuple(draw.choice((1, 1, 2, 3, 7, None)) for _ in range(count))},
        "choice": lambda: {"chosen": draw.choice((0, 1, None))},
        "ratings": lambda: {"ratings": tuple(draw.choice((1, 2, 5, 3.5)) for _ in range(count))},
        "thumbs": lambda: {"up": tuple(draw.random() < 0.5 for _ in range(count))},
        "correction": lambda: {"corrected": draw.randrange(count), "text": draw.choice(TEXTS[:8])},
        "skip": lambda: {"reason": draw.choice(("cannot judge", "taken back"))},
    }
    return {"kind": kind} | says[kind]()


def events(seed: int) -> list[FeedbackEvent]:
    """Forty events of all kinds, with from one to six answers."""
    draw = random.Random(seed)
    made = []
    for number in range(40):
        kind = KINDS[number % len(KINDS)]
        count = 2 if kind == "choice" else draw.randint(2 if kind == "ranking" else 1, 6)
        simulated = draw.random() < 0.3
        fields = {
            "id": f"event-{number}",
            "row": f"row-{draw.randrange(9)}",
            "task": draw.choice(("", "lookup")),
            "prompt": draw.choice(TEXTS),
            "answers": [
                {
                    "text": draw.choice(TEXTS),
                    "model": draw.choice(("m", "f" * 64)),
                    "stopped": draw.random() < 0.5,
                }
                for _ in range(count)
            ],
            "judgement": judgement(kind, count, draw),
            "annotator": draw.choice(("anna", "bert, the 2nd")),
            "comment": draw.choice(("", "", 'so "good"\nindeed')),
            "created_at": draw.choice((None, "2026-11-24T12:00:00.000+00:00")),
            "source": draw.choice(("simulated", "ai", "import") if simulated else ("web", "import")),
            "simulated": simulated,
            "comparison": draw.choice((None, "c" * 64)),
            "replaces": draw.choice((None, "event-before")),
        }
        made.append(FeedbackEvent.model_validate(fields))
    return made


def back(path: Path) -> list[FeedbackEvent]:
    tally = read_source(Source(str(path), READING))
    assert not tally.rejected
    return tally.events


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("events", "events.jsonl"),
        ("events", "events.jsonl.gz"),
        ("csv", "events.csv"),
        ("csv", "events.csv.gz"),
        ("datasets", "saved"),
    ],
)
def test_our_own_formats_hold_every_event(form: str, name: str, seed: int, tmp_path: Path) -> None:
    made = events(seed)
    done = export_feedback(made, tmp_path / name, form)
    assert (done.written, done.left_out) == (40, Counter())
    assert back(tmp_path / name) == made


def held_by_label_studio(event: FeedbackEvent) -> bool:
    return event.judgement.kind != "ratings" or all(mark in (1, 2, 5) for mark in event.judgement.ratings)


def held_by_argilla(event: FeedbackEvent) -> bool:
    if event.judgement.kind == "ranking":
        return all(rank is not None and rank <= len(event.answers) for rank in event.judgement.ranks)
    return held_by_label_studio(event)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("form", "holds"), [("label-studio", held_by_label_studio), ("argilla", held_by_argilla)]
)
def test_other_tools_hold_all_that_they_have_a_place_for(
    form: str, holds: Callable[[FeedbackEvent], bool], seed: int, tmp_path: Path
) -> None:
    made = events(seed)
    held = [event for event in made if holds(event)]
    done = export_feedback(made, tmp_path / "out.json", form)
    assert done.written == len(held) < 40
    assert sum(done.left_out.values()) == 40 - len(held)
    assert back(tmp_path / "out.json") == held


@pytest.mark.parametrize("form", ["label-studio", "argilla"])
def test_what_the_tool_itself_says_is_enough(form: str, tmp_path: Path) -> None:
    """Without what travels beside it, only what the tool has no place for is lost."""
    holds = held_by_label_studio if form == "label-studio" else held_by_argilla
    made = [event for event in events(5) if holds(event) and event.prompt.strip()]
    export_feedback(made, tmp_path / "out.json", form)
    text = (tmp_path / "out.json").read_text().replace('"retort":', '"other":')
    (tmp_path / "out.json").write_text(text)
    found = back(tmp_path / "out.json")
    assert len(found) == len(made) > 20
    for event, was in zip(found, made, strict=True):
        assert event.prompt == was.prompt
        assert [answer.text for answer in event.answers] == [answer.text for answer in was.answers]
        assert event.comment == was.comment
        if was.judgement.kind != "skip":
            assert event.judgement == was.judgement
        assert event.judgement.kind == was.judgement.kind
        assert event.source == "import"
        assert event.id != was.id


def test_parquet_holds_what_the_datasets_folder_holds(tmp_path: Path) -> None:
    from tasks.feedback.exchange.event_rows import as_dataset

    made = events(6)
    as_dataset(made).to_parquet(tmp_path / "events.parquet")
    assert back(tmp_path / "events.parquet") == made


def test_from_store_to_store(
    tmp_path: Path, store: EventStore, an_event: Callable[..., FeedbackEvent]
) -> None:
    made = [an_event("1"), an_event("2", judgement={"kind": "skip"}, replaces="1")]
    export_feedback(made, tmp_path / "events.jsonl", "events")
    source = Source(str(tmp_path / "events.jsonl"), READING)
    assert import_feedback(source, store).new == 2
    assert import_feedback(source, store).known == 2
    assert list(store.events()) == made


def test_pairs_hold_the_preferences_that_stand(
    tmp_path: Path, an_event: Callable[..., FeedbackEvent]
) -> None:
    three = [{"text": text, "model": "m", "stopped": True} for text in "abc"]
    made = [
        an_event("1"),
        an_event("2", judgement={"kind": "choice", "chosen": 1}, replaces="1"),
        an_event("3", judgement={"kind": "choice", "chosen": None}),
        an_event("4", judgement={"kind": "skip"}),
        an_event("5", answers=three, judgement={"kind": "ranking", "ranks": (2, 1, 2)}),
        an_event("6", answers=three[:1] * 2, judgement={"kind": "ranking", "ranks": (1, 2)}),
    ]
    done = export_feedback(made, tmp_path / "pairs.jsonl", "pairs")
    assert done.written == 2
    assert done.left_out == {
        "replaced by a later event": 1,
        "no preference in the choice": 1,
        "a skip": 1,
        "no preference in the ranking": 1,
    }
    found = read_source(Source(str(tmp_path / "pairs.jsonl"), READING))
    assert found.format == "pairs"
    preferred = {
        (event.answers[event.judgement.chosen].text, event.answers[1 - event.judgement.chosen].text)
        for event in found.events
    }
    assert preferred == {("answer B", "answer A"), ("b", "a"), ("b", "c")}


def test_an_export_is_refused_with_all_its_faults(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        export_feedback([], tmp_path, "label_studio")
    assert [problem.what for problem in caught.value.problems] == ["--format", "feedback", str(tmp_path)]
    assert "Did you mean `label-studio`?" in str(caught.value)
