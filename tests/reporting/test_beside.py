"""Two runs beside each other: paired where the questions are the same, and nobody better without proof."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.reporting.beside import paired, set_beside
from tasks.reporting.parts import Part
from tasks.shared.artifacts import ArtifactRef

QUESTIONS = 60


def figure(model: str, value: float, metric: str = "accuracy") -> dict[str, Any]:
    ends = {"low": value - 0.1, "high": value + 0.1, "n": QUESTIONS}
    return {"metric": metric, "model": model, "value": value, "unit": "share", **ends}


def columns(values: list[float], better: str | None = "higher", ids: list[str] | None = None) -> Any:
    names = ids or [f"q{number}" for number in range(len(values))]
    column = {"metric": "accuracy", "unit": "share", "better": better, "margin": None}
    column |= {"weights": [1.0] * len(values), "values": {"aligned": values}}
    # Two questions a context.
    contexts = [int(name[1:]) // 2 for name in names]
    return [{"sample": "held-out", "ids": names, "contexts": contexts, "columns": [column]}]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Part]:
    def make(name: str, figures: Any, of: Any) -> Part:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "figures.json").write_text(json.dumps(figures))
        if of is not None:
            (folder / "columns.json").write_text(json.dumps(of))
        digest = "a" * 64
        ref = ArtifactRef(
            kind="evaluate",
            key=f"evaluate/{digest}",
            uri="file:///x",
            sha256=digest,
            schema_version=1,
            parents=(),
            summary={},
        )
        return Part(folder, ref, {})

    return make


LOW = [float(number % 4 == 0) for number in range(QUESTIONS)]
HIGH = [float(number % 4 != 1) for number in range(QUESTIONS)]


@pytest.mark.parametrize(("better", "expected"), [("higher", "second"), ("lower", "first"), (None, None)])
def test_a_clear_difference_names_the_better_run(
    make: Callable[..., Part], better: Any, expected: Any
) -> None:
    first = make("one", [figure("aligned", 0.25)], columns(LOW, better))
    second = make("two", [figure("aligned", 0.75)], columns(HIGH, better))
    [row] = set_beside(first, second)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(0.5)
    assert row.better == expected


def test_questions_that_a_model_was_not_asked_are_left_out(make: Callable[..., Part]) -> None:
    some = QUESTIONS // 2
    cut = [[*values[:some], *[None] * some] for values in (LOW, HIGH)]
    figures = [figure("aligned", 0.25)], [figure("aligned", 0.75)]
    [found] = set_beside(make("a", figures[0], columns(cut[0])), make("b", figures[1], columns(cut[1])))
    assert found.difference is not None
    assert found.difference.value == pytest.approx(sum(HIGH[:some]) / some - sum(LOW[:some]) / some)


def test_the_same_answers_name_nobody(make: Callable[..., Part]) -> None:
    one = make("one", [figure("aligned", 0.25)], columns(LOW))
    [row] = set_beside(one, one)
    assert row.difference is not None
    assert (row.difference.value, row.difference.low, row.difference.high, row.better) == (0, 0, 0, None)


def test_questions_in_another_order_are_paired_by_their_names(make: Callable[..., Part]) -> None:
    names = [f"q{number}" for number in range(QUESTIONS)]
    turned = columns(LOW[::-1], ids=names[::-1])
    [row] = set_beside(
        make("one", [figure("aligned", 0.25)], columns(LOW)), make("two", [figure("aligned", 0.25)], turned)
    )
    assert row.difference is not None
    assert row.difference.low == row.difference.high == 0


def test_other_questions_are_not_paired_and_only_intervals_are_shown(make: Callable[..., Part]) -> None:
    others = columns(HIGH, ids=[f"x{number}" for number in range(QUESTIONS)])
    first = make("one", [figure("aligned", 0.25), figure("teacher", 0.3)], columns(LOW))
    second = make("two", [figure("aligned", 0.75)], others)
    [row] = set_beside(first, second)
    assert (row.difference, row.better) == (None, None)
    assert (row.first.value, row.second.value) == (0.25, 0.75)
    assert dict(paired(None, others)) == {}
