"""The points of a loop in its artifact: whole although it was interrupted, the same however fast it was."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.curve import FILE, MOST_POINTS, Curve, thin


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.saved: dict[str, Any] = {}

    def save(self, name: str, tensors: dict[str, Any], state: Mapping[str, Any]) -> None:
        self.saved[name] = (tensors, json.loads(json.dumps(state)))

    def load(self, name: str) -> Any:
        return self.saved.get(name)


def test_points_pass_on_and_are_kept_but_no_speed_and_no_broken_number(tmp_path: Path) -> None:
    seen = []
    curve = Curve(lambda metrics, step: seen.append((step, metrics)), Kept())
    curve.log({"loss": 2.5, "tokens_per_second": 300.0}, 1)
    curve.log({"loss": math.nan, "valid_nll": 2.0}, 2)
    curve.log({"loss": 1.5}, 3)
    assert [step for step, _ in seen] == [1, 2, 3]
    assert seen[0][1]["tokens_per_second"] == 300.0
    curve.write(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == {
        "loss": [[1, 2.5], [3, 1.5]],
        "valid_nll": [[2, 2.0]],
    }


def test_a_loop_that_goes_on_from_a_checkpoint_leaves_the_curve_of_an_undisturbed_one(tmp_path: Path) -> None:
    kept = Kept()
    first = Curve(lambda *_: None, kept)
    first.log({"loss": 3.0}, 1)
    first.save("train", {}, {"step": 1})
    first.log({"loss": 99.0}, 2)  # after the checkpoint: lost with the process, and made again
    second = Curve(lambda *_: None, kept)
    assert second.load("train") == ({}, {"step": 1})
    second.log({"loss": 2.0}, 2)
    assert second.points == {"loss": [(1, 3.0), (2, 2.0)]}


def test_a_checkpoint_of_before_has_no_curve(tmp_path: Path) -> None:
    kept = Kept()
    kept.save("train", {}, {"step": 4})
    curve = Curve(lambda *_: None, kept)
    assert curve.load("train") == ({}, {"step": 4})
    assert curve.load("other") is None
    curve.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    points = [(step, float(step)) for step in range(2 * MOST_POINTS + 1)]
    thinned = thin(points)
    assert MOST_POINTS / 2 <= len(thinned) <= MOST_POINTS
    assert thinned[-1] == points[-1]
    assert {b[0] - a[0] for a, b in zip(thinned, thinned[1:], strict=False)} == {4}
    assert thin(points[:10]) == points[:10]
