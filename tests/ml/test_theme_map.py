"""The map of what was asked: where questions lie, which belong together, and what that is called."""

import numpy as np
import pytest

from tasks.ml.figure_points import comparison_points, figure_points, slice_points
from tasks.ml.theme_map import cluster, map_themes, principal_components, theme_names


def test_the_first_component_is_the_direction_of_most_spread() -> None:
    # Three times as far along (1, 1) / sqrt 2 as across it.
    points = np.array([[3.0, 3.0], [-3.0, -3.0], [1.0, -1.0], [-1.0, 1.0]])
    scores = principal_components(points, 2)
    assert np.abs(scores[:, 0]) == pytest.approx([18**0.5, 18**0.5, 0, 0])
    assert np.abs(scores[:, 1]) == pytest.approx([0, 0, 2**0.5, 2**0.5])
    assert scores[np.abs(scores).argmax(axis=0), [0, 1]].min() > 0


def test_groups_far_apart_are_found_and_numbered_by_size() -> None:
    draw = np.random.default_rng(1)
    points = np.concatenate([draw.normal(0, 0.1, (8, 3)), draw.normal(9, 0.1, (16, 3))])
    found = cluster(points, 2, seed=0)
    assert found.tolist() == [1] * 8 + [0] * 16
    assert cluster(points[:1], 3, seed=0).tolist() == [0]


def test_a_theme_is_named_by_words_that_others_have_not() -> None:
    texts = ["is iron in it", "iron again iron", "what of the meal", "a meal for two", "a meal of it"]
    names = theme_names(texts, np.array([0, 0, 1, 1, 1]))
    assert names[0].split(", ")[0] == "iron"
    assert names[1].split(", ")[0] == "meal"


def test_a_map_has_a_place_and_a_theme_for_each_question() -> None:
    draw = np.random.default_rng(2)
    vectors = np.concatenate([draw.normal(0, 0.1, (12, 20)), draw.normal(4, 0.1, (12, 20))])
    found = map_themes(vectors, ["about iron"] * 12 + ["about meals"] * 12, seed=3)
    assert found.places.shape == (24, 2)
    assert np.abs(found.places).max() == pytest.approx(1.0)
    sides = [set(found.themes[:12].tolist()), set(found.themes[12:].tolist())]
    assert not sides[0] & sides[1]
    assert any("iron" in found.names[theme] for theme in sides[0])
    one = map_themes(np.ones((1, 5)), ["alone"], seed=0)
    assert (one.places.tolist(), one.names) == ([[0.0, 0.0]], ("alone",))


def test_the_names_under_which_tables_are_logged() -> None:
    row = {"metric": "accuracy", "model": "aligned", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    assert figure_points([row]) == {
        "accuracy/aligned": 0.5,
        "accuracy/aligned_low": 0.4,
        "accuracy/aligned_high": 0.6,
    }
    beside = row | {"against": "distilled", "difference": -0.1, "adjusted_p": 0.2, "low": float("nan")}
    name = "difference/accuracy/aligned/distilled"
    assert comparison_points([beside]) == {name: -0.1, f"{name}_high": 0.6, f"{name}/adjusted_p": 0.2}
    sliced = row | {"by": "task", "slice": "lookup"}
    assert slice_points([sliced])["slice/task/lookup/accuracy/aligned"] == 0.5
