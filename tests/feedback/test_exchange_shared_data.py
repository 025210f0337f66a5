"""The human sets beside the checkout, through the same import as anybody's, counted by plain loops."""

import gzip
import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.feedback_cli import app
from flows.feedback_import import Source, import_feedback, read_source
from tasks.feedback.exchange.pseudonyms import Pseudonyms
from tasks.feedback.exchange.reading import Names, Reading
from tasks.feedback.pairs import pairs_of
from tasks.feedback.store.event_store import EventStore

CALLED = Pseudonyms(b"sixteen bytes or more")
SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(
        not (SHARED / "qa_feedback").is_dir(), reason="shared/data is not beside the checkout"
    ),
]


def raw(name: str) -> list[dict[str, Any]]:
    path = SHARED / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def imported(
    store: EventStore, name: str, form: str = "auto", scale: tuple[float, float] = (1, 5), **given: str
):
    source = Source(str(SHARED / name), Reading(CALLED, Names(given), name.split("/")[0], scale=scale), form)
    tally = import_feedback(source, store)
    assert not tally.rejected
    assert tally.annotators == 1
    assert import_feedback(source, store).new == 0
    return tally


def preferences(store: EventStore) -> Counter[tuple[str, str, str]]:
    return Counter(
        (event.prompt, pair.chosen, pair.rejected) for event in store.events() for pair in pairs_of(event)
    )


def test_qa_feedback_pairs(store: EventStore) -> None:
    tally = imported(store, "qa_feedback/pairs.jsonl.gz")
    expected = Counter(
        (
            f"{row['context']}\n{row['prompt']}" if row["context"] else row["prompt"],
            row["chosen"],
            row["rejected"],
        )
        for row in raw("qa_feedback/pairs.jsonl.gz")
    )
    assert (tally.rows, tally.new, tally.ties, sum(expected.values())) == (2616, 2616, 0, 2616)
    assert preferences(store) == expected


def test_qa_feedback_ties(store: EventStore) -> None:
    given = {"prompt": "question", "answers": "outputs", "preferences": "preference"}
    tally = imported(store, "qa_feedback/rated.jsonl.gz", "comparisons", **given)
    expected: Counter[tuple[str, str, str]] = Counter()
    ties = 0
    for row in raw("qa_feedback/rated.jsonl.gz"):
        for (first, second), preference in zip(
            combinations(row["outputs"], 2), row["preference"], strict=True
        ):
            ties += preference == 0
            if preference:
                chosen, rejected = (first, second) if preference == 1 else (second, first)
                expected[row["question"], chosen, rejected] += 1
    assert (tally.rows, tally.new, tally.ties, ties) == (500, 3000, 384, 384)
    assert sum(expected.values()) == 2616
    assert preferences(store) == expected


def test_qa_feedback_wins_are_those_that_the_set_itself_counts() -> None:
    given = {"prompt": "question", "answers": "outputs", "preferences": "preference"}
    source = Source(str(SHARED / "qa_feedback/rated.jsonl.gz"), Reading(CALLED, Names(given)), "comparisons")
    wins = Counter(
        (event.prompt, event.answers[event.judgement.chosen].text)
        for event in read_source(source).events
        if event.judgement.chosen is not None
    )
    expected: Counter[tuple[str, str]] = Counter()
    for row in raw("qa_feedback/rated.jsonl.gz"):
        for output, count in zip(row["outputs"], row["wins"], strict=True):
            expected[row["question"], output] += count
    assert wins == +expected


def test_medquad_pairs(store: EventStore) -> None:
    tally = imported(store, "medquad_judged/pairs.jsonl")
    distinct = {(row["prompt"], row["chosen"], row["rejected"]) for row in raw("medquad_judged/pairs.jsonl")}
    # One pair stands there twice.
    assert (tally.rows, tally.new, tally.repeated, len(distinct)) == (116, 115, 1, 115)
    assert preferences(store) == Counter(distinct)


def test_medquad_ratings(store: EventStore) -> None:
    given = {"prompt": "question", "rating": "score", "group": "qid"}
    tally = imported(store, "medquad_judged/ratings.jsonl", "ratings", (1, 4), **given)
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in raw("medquad_judged/ratings.jsonl"):
        groups.setdefault(row["qid"], []).append(row)
    ours = {1: 1.0, 2: 1 + 4 / 3, 3: 1 + 8 / 3, 4: 5.0}
    assert (tally.rows, tally.new) == (565, len(groups))
    ties = better = 0
    for event, rows in zip(store.events(), groups.values(), strict=True):
        assert [answer.text for answer in event.answers] == [row["answer"] for row in rows]
        assert event.judgement.ratings == pytest.approx([ours[row["score"]] for row in rows], abs=1e-12)
        for first, second in combinations(rows, 2):
            ties += first["score"] == second["score"]
            better += first["score"] != second["score"] and first["answer"] != second["answer"]
    assert tally.ties == ties
    assert sum(preferences(store).values()) == better


def test_hh_harmless(store: EventStore) -> None:
    tally = imported(store, "hh_harmless_test/pairs.jsonl.gz", prompt="messages")
    expected: Counter[tuple[str, str, str]] = Counter()
    for row in raw("hh_harmless_test/pairs.jsonl.gz"):
        said = [f"{turn['role'].capitalize()}: {turn['content']}" for turn in row["messages"]]
        prompt = "\n\n".join(said) if len(said) > 1 else row["messages"][0]["content"]
        expected[prompt, row["chosen"], row["rejected"]] += 1
    assert (tally.rows, tally.new, sum(expected.values())) == (2308, 2308, 2308)
    assert preferences(store) == expected


def test_the_command_says_what_came_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETORT_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("RETORT_FEEDBACK_URL", raising=False)
    arguments = ["import", str(SHARED / "medquad_judged/ratings.jsonl"), "--format", "ratings"]
    for name in ("prompt=question", "rating=score", "scale=1-4", "group=qid"):
        arguments += ["--map", name]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    cells = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in done.output.splitlines() if "│" in line
    ]
    counts = {name: int(count) for name, count in cells}
    assert (counts["rows read"], counts["events"], counts["new"], counts["set aside"]) == (565, 86, 86, 0)
    assert "Columns not used: 'aid'" in done.output
    done = CliRunner().invoke(
        app, ["export", str(tmp_path / "out.csv"), "--format", "csv"], catch_exceptions=False
    )
    assert "written │ 86" in " ".join(done.output.split())
