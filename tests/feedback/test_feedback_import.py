"""Files into the store: once each, with what cannot be used set aside, and changes of mind in their place."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from flows.feedback_import import Source, count_ties, import_feedback, read_source, unused_columns
from tasks.feedback.events import FeedbackEvent, standing, write_events
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Names, Reading
from tasks.feedback.exchange.said import key_of
from tasks.feedback.store.event_store import EventStore
from tasks.shared.errors import DataError, StoreError

SECRET = b"sixteen bytes or more"
CALLED = Pseudonyms(SECRET)
NAMED = Pseudonyms(SECRET, hides=False)
PAIRS = [
    {"prompt": "Why?", "chosen": "good", "rejected": "bad", "annotator": "anna@example.org"},
    {"prompt": "How?", "chosen": "well", "rejected": "ill", "annotator": "bert@example.org"},
    {"prompt": "How?", "chosen": "well", "rejected": "ill", "annotator": "anna@example.org", "tie": True},
]


def lines(path: Path, rows: list[Any]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def source(path: Path, form: str = "auto", only: dict[str, str] | None = None, **given: str) -> Source:
    return Source(str(path), Reading(CALLED, Names(given)), form, only or {})


def test_the_same_file_twice_adds_nothing(tmp_path: Path, store: EventStore) -> None:
    path = lines(tmp_path / "pairs.jsonl.gz", PAIRS)
    first = import_feedback(source(path), store)
    assert (first.format, first.rows, first.new, first.known) == ("pairs", 3, 3, 0)
    assert (first.ties, first.skips, first.annotators) == (1, 0, 2)
    again = import_feedback(source(path), store)
    assert (again.rows, again.new, again.known, again.rejected) == (3, 0, 3, [])
    # Under another name, with other pseudonyms, and with one row twice, it is still the same feedback.
    renamed = lines(tmp_path / "other.jsonl", [*PAIRS, PAIRS[0]])
    kept = import_feedback(Source(str(renamed), Reading(NAMED)), store)
    assert (kept.new, kept.known, kept.repeated) == (0, 3, 1)
    assert not list(tmp_path.glob("*.set-aside.jsonl"))


def test_annotators_can_be_kept(tmp_path: Path, store: EventStore) -> None:
    path = lines(tmp_path / "pairs.jsonl", [*PAIRS, {"prompt": "?", "chosen": "a", "rejected": "b"}])
    reading = Reading(NAMED, annotator="crowd")
    import_feedback(Source(str(path), reading), store)
    assert [event.annotator for event in store.events()] == [
        "anna@example.org",
        "bert@example.org",
        "anna@example.org",
        "crowd",
    ]
    # Who is given on the command line is called as the user said.
    assert read_source(Source(str(path), Reading(CALLED, annotator="crowd"))).events[3].annotator == "crowd"


def test_bad_rows_are_set_aside_with_line_and_reason(tmp_path: Path, store: EventStore) -> None:
    path = lines(
        tmp_path / "pairs.jsonl", [PAIRS[0], "{no json", "", PAIRS[1], {"prompt": "?", "chosen": "a"}]
    )
    tally = import_feedback(source(path), store)
    assert (tally.new, len(tally.rejected)) == (2, 2)
    assert tally.set_aside == tmp_path / "pairs.jsonl.set-aside.jsonl"
    first, second = map(json.loads, tally.set_aside.read_text().splitlines())
    assert (first["line"], first["item"], first["raw"]) == (2, 2, "{no json")
    assert first["reason"].startswith("not JSON")
    assert (second["line"], second["item"], second["reason"]) == (5, 4, "`rejected` is missing")
    assert json.loads(second["raw"]) == {"prompt": "?", "chosen": "a"}
    assert tally.reasons()[1] == "1 times: `rejected` is missing; first on line 5, item 4"


def test_items_of_one_line_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([PAIRS[0], 7, PAIRS[1]]))
    [bad] = read_source(source(path)).rejected
    assert (bad.line, bad.item, bad.raw) == (1, 2, "7")


def test_nothing_is_stored_if_nothing_can_be_set_aside(tmp_path: Path, store: EventStore) -> None:
    path = lines(tmp_path / "pairs.jsonl", [PAIRS[0], "{no json"])
    (tmp_path / "pairs.jsonl.set-aside.jsonl").mkdir()
    with pytest.raises(StoreError, match="set-aside"):
        import_feedback(source(path), store)
    assert store.last_sequence() == 0


def test_a_file_of_bad_rows_only_is_a_fault_of_the_command(tmp_path: Path, store: EventStore) -> None:
    path = lines(tmp_path / "pairs.jsonl", [{"prompt": "?", "chosen": "a", "rejected": "a"}])
    with pytest.raises(
        DataError, match=r"no usable judgement in 1 rows .*the same text; first on line 1, item 1"
    ):
        import_feedback(source(path), store)
    assert (tmp_path / "pairs.jsonl.set-aside.jsonl").is_file()


def test_a_changed_mind_replaces_what_was_said(tmp_path: Path, store: EventStore) -> None:
    def exported(side: str) -> Path:
        result = {"from_name": "c", "to_name": "c", "type": "pairwise", "value": {"selected": side}}
        annotations = [
            {"id": 1, "completed_by": 1, "result": [result], "updated_at": side},
            {"id": 2, "completed_by": 2, "result": [result | {"value": {"selected": "left"}}]},
        ]
        data = {"prompt": "Why?", "answer1": "a", "answer2": "b"}
        return lines(tmp_path / "export.json", [{"id": 5, "data": data, "annotations": annotations}])

    import_feedback(source(exported("left")), store)
    tally = import_feedback(source(exported("right")), store)
    assert (tally.new, tally.known) == (1, 1)
    old, other, new = store.events()
    assert new.replaces == old.id
    assert key_of(new.id) == key_of(old.id) != key_of(other.id)
    assert standing(store.events()) == [other, new]
    assert import_feedback(source(exported("right")), store).known == 2


def test_rows_of_one_file_never_replace_each_other(tmp_path: Path, store: EventStore) -> None:
    """An id that is not unique would otherwise let all rows but the last vanish."""
    turned = {"chosen": "bad", "rejected": "good"}
    path = lines(tmp_path / "pairs.jsonl", [PAIRS[0] | {"id": 1}, PAIRS[0] | {"id": 1} | turned])
    import_feedback(source(path), store)
    assert [event.replaces for event in store.events()] == [None, None]


def test_ids_of_other_files_are_other_ids(tmp_path: Path, store: EventStore) -> None:
    first, second = ({"id": 1, "prompt": p, "chosen": "a", "rejected": "b"} for p in ("Why?", "How?"))
    import_feedback(source(lines(tmp_path / "a.jsonl", [first])), store)
    assert import_feedback(source(lines(tmp_path / "b.jsonl", [second])), store).new == 1
    assert [event.replaces for event in store.events()] == [None, None]


def test_what_was_withdrawn_does_not_come_back(tmp_path: Path, store: EventStore) -> None:
    path = lines(tmp_path / "pairs.jsonl", PAIRS)
    import_feedback(source(path), store)
    store.withdraw(CALLED.shown("anna@example.org"))
    tally = import_feedback(source(path), store)
    assert (tally.new, tally.known, tally.withdrawn) == (0, 1, 2)


def test_another_event_under_a_known_id_is_set_aside(
    tmp_path: Path, store: EventStore, an_event: Callable[..., FeedbackEvent]
) -> None:
    store.add([an_event("1")])
    write_events(tmp_path / "events.jsonl", [an_event("1", comment="other"), an_event("2")])
    tally = import_feedback(source(tmp_path / "events.jsonl"), store)
    assert (tally.new, tally.known) == (1, 0)
    [bad] = tally.rejected
    assert (bad.line, bad.reason) == (1, "another event is known under this id: 1")
    assert [event.comment for event in store.events()] == ["", ""]


def test_only_the_rows_wanted(tmp_path: Path, store: EventStore) -> None:
    rows = [
        row | {"split": split, "margin": 2}
        for row, split in zip(PAIRS, ("train", "test", "train"), strict=True)
    ]
    wanted = source(lines(tmp_path / "pairs.jsonl", rows), only={"split": "train"})
    tally = import_feedback(wanted, store)
    assert (tally.rows, tally.left_out, tally.new) == (3, 1, 2)
    assert unused_columns(wanted, tally) == ["margin"]


def test_tables_in_csv_and_datasets(tmp_path: Path) -> None:
    import datasets

    (tmp_path / "pairs.csv").write_text('question,better,worse,tie\n"Why, though?","a\nb",c,\nHow?,x,y,1\n')
    given = {"prompt": "question", "chosen": "better", "rejected": "worse"}
    tally = read_source(source(tmp_path / "pairs.csv", **given))
    assert [event.prompt for event in tally.events] == ["Why, though?", "How?"]
    assert tally.ties == 1
    table = datasets.Dataset.from_csv(str(tmp_path / "pairs.csv"), cache_dir=str(tmp_path / "cache"))
    splits = datasets.DatasetDict({"train": table, "test": table.select([0])})
    splits.save_to_disk(tmp_path / "saved")
    train = read_source(source(tmp_path / "saved", only={"split": "train"}, **given))
    assert (train.rows, train.left_out) == (3, 1)
    assert train.events == tally.events
    table.save_to_disk(tmp_path / "one")
    assert read_source(source(tmp_path / "one", **given)).events == tally.events
    with pytest.raises(DataError, match="cannot load"):
        read_source(source(tmp_path / "cache"))


def test_wrong_names_are_all_said_at_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(ConfigError) as caught:
        read_source(source(path, "pairs", chosn="a", F="x"))
    assert [problem.what for problem in caught.value.problems] == ["--map chosn=...", "--map F=..."]
    assert "Did you mean `chosen`?" in str(caught.value)
    with pytest.raises(ConfigError, match="Did you mean `pairs`"):
        read_source(source(path, "pair"))
    with pytest.raises(DataError, match="Did you mean `prompt`"):
        read_source(source(path, prompt="promt", only={"tie": "1"}))
    with pytest.raises(DataError, match="rows of a format that is recognised"):
        read_source(source(lines(tmp_path / "odd.jsonl", [{"a": 1}])))
    with pytest.raises(DataError, match="no such file"):
        read_source(source(tmp_path / "gone.jsonl"))


@pytest.mark.parametrize(
    ("judgement", "ties"),
    [
        ({"kind": "choice", "chosen": None}, 1),
        ({"kind": "choice", "chosen": 0}, 0),
        ({"kind": "ranking", "ranks": (1, 1)}, 1),
        ({"kind": "ranking", "ranks": (None, None)}, 0),
        ({"kind": "ratings", "ratings": (2, 2)}, 1),
        ({"kind": "thumbs", "up": (True, True)}, 0),
        ({"kind": "skip"}, 0),
    ],
)
def test_ties_are_counted_by_pairs(
    judgement: dict[str, Any], ties: int, an_event: Callable[..., FeedbackEvent]
) -> None:
    assert count_ties(an_event("1", judgement=judgement)) == ties
