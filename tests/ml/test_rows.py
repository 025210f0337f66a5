"""Rows on disk: exact, typed, and by split."""

import pytest
from pydantic import ValidationError

from tasks.ml.rows import (
    ChoiceCheck,
    FactsCheck,
    NumberCheck,
    ReferenceCheck,
    Row,
    VerdictCheck,
    load_rows,
    write_rows,
)

CHECKS = [
    NumberCheck(value=0.1, unit="g", relative_tolerance=0.005, pick="last"),
    ChoiceCheck(right="A", wrong="B"),
    VerdictCheck(yes=False),
    FactsCheck(quantities=((1.5, "g"), (2.0, "mg"))),
    ReferenceCheck(text="caf\u00e9\n\u2028line"),
]


def test_rows_survive_the_file_with_their_kind_of_check(make_row, tmp_path) -> None:
    rows = [make_row(id=check.kind, check=check, question="a\u2028b\nc") for check in CHECKS]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert load_rows(tmp_path / "rows.jsonl") == rows


def test_one_split_can_be_read_alone(make_row, tmp_path) -> None:
    rows = [
        make_row(id=str(number), split=split)
        for number, split in enumerate(("train", "test", "train", "valid"))
    ]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert [row.id for row in load_rows(tmp_path / "rows.jsonl", "train")] == ["0", "2"]
    assert [row.id for row in load_rows(tmp_path / "rows.jsonl", "valid")] == ["3"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"plain_words": 0},
        {"split": "dev"},
        {"extra": 1},
        {"check": {"kind": "other"}},
        {"question": ""},
    ],
)
def test_malformed_rows_are_refused(make_row, change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Row.model_validate(make_row().model_dump() | change)
