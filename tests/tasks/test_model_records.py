"""Who is champion, who is challenger, and to whom one can roll back: by hand, from short logs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.model_records import (
    Entry,
    ModelVersion,
    challenger_of,
    champion_of,
    crowning_of,
    reigns,
    versions_of,
    watermark_of,
)
from tasks.shared.artifacts import ArtifactRef


def ref(kind: str, number: int) -> ArtifactRef:
    return ArtifactRef(
        kind=kind,
        key=f"{kind}/{number:064x}",
        uri="file:///x",
        sha256=f"{number:064x}",
        schema_version=1,
        parents=(),
        summary={},
    )


def version(number: int) -> ModelVersion:
    return ModelVersion(
        model=ref("ppo", number),
        clean=ref("clean", 99),
        distill=ref("distill", 98),
        reward=None,
        feedback="simulated",
        watermark=0,
        number=number,
        name="use",
        served_sha256=f"{number:064x}",
        mlflow_version=None,
    )


def entries(*acts: str) -> list[Entry]:
    """A log of acts such as `entered 1`, an hour apart."""
    made = []
    for sequence, act in enumerate(acts, start=1):
        what, number = act.split()
        fields: dict[str, Any] = {"act": what, "version": version(int(number)), "champion_before": None}
        at = f"2026-11-0{1 + sequence // 24}T{sequence % 24:02d}:00:00+00:00"
        made.append(Entry(sequence=sequence, previous="0" * 64, at=at, reason="why", by="anna", **fields))
    return made


NIGHTS = ("entered 1", "promoted 1", "entered 2", "promoted 2", "entered 3", "kept 3", "rolled_back 1")


def numbers(*found: ModelVersion | None) -> list[int | None]:
    return [one.number if one else None for one in found]


def test_champion_and_challenger_after_each_act() -> None:
    log = entries(*NIGHTS)
    champions = [champion_of(log[:length]) for length in range(len(log) + 1)]
    challengers = [challenger_of(log[:length]) for length in range(len(log) + 1)]
    assert numbers(*champions) == [None, None, 1, 1, 2, 2, 2, 1]
    # One that was not promoted stays challenger until the next one comes; one that has served never is.
    assert numbers(*challengers) == [None, 1, None, 2, None, 3, 3, 3]
    assert numbers(*versions_of(log)) == [1, 2, 3]


def test_who_served_at_a_moment() -> None:
    log = entries(*NIGHTS)
    moments = [
        datetime(2026, 11, 1, hour, minute, tzinfo=UTC) for hour, minute in ((1, 59), (2, 0), (6, 59), (7, 0))
    ]
    assert numbers(*(champion_of(log, at) for at in moments)) == [None, 1, 2, 1]
    crowned = crowning_of(log, moments[2])
    assert crowned is not None
    assert crowned.sequence == 4


def test_the_order_of_the_log_counts_when_a_clock_was_wrong() -> None:
    log = entries("entered 1", "promoted 1", "entered 2", "promoted 2")
    # The clock ran ahead when version 1 was promoted, and was right again afterwards.
    log[1] = log[1].model_copy(update={"at": "2031-01-01T00:00:00+00:00"})
    assert numbers(champion_of(log), champion_of(log, datetime(2026, 11, 2, tzinfo=UTC))) == [2, 2]


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ((), []),
        (("promoted 1", "promoted 2", "promoted 3"), [1, 2, 3]),
        # Twice back is two steps back, not there and back again.
        (("promoted 1", "promoted 2", "promoted 3", "rolled_back 2"), [1, 2]),
        (("promoted 1", "promoted 2", "promoted 3", "rolled_back 2", "rolled_back 1"), [1]),
        (("promoted 1", "promoted 2", "promoted 3", "rolled_back 1", "rolled_back 3"), [1, 3]),
        (("promoted 1", "promoted 2", "rolled_back 1", "promoted 4"), [1, 4]),
    ],
)
def test_whom_one_can_roll_back_to(acts: tuple[str, ...], expected: list[int]) -> None:
    assert reigns(entries(*acts)) == expected


def test_the_watermark_is_in_the_name_of_a_state_of_the_store() -> None:
    named = {"a" * 64 + "@41": 41, "simulated": 0, "ai:" + "a" * 64: 0, "a" * 64: 0, "x@7": 0}
    assert {name: watermark_of(name) for name in named} == named


@pytest.mark.parametrize("changes", [{"reason": " "}, {"by": ""}, {"at": "2026-11-01"}, {"act": "deleted"}])
def test_an_entry_says_when_who_and_why(changes: dict[str, str]) -> None:
    [entry] = entries("promoted 1")
    with pytest.raises(ValidationError):
        Entry.model_validate(entry.model_dump() | changes)
