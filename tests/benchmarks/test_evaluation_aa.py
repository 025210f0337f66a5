"""The simulated evaluations: no winner among equals, a planted gain is found; the long run is a benchmark."""

import numpy as np

from benchmarks.evaluation_aa import GAIN, evaluation
from benchmarks.evaluation_world import MODELS, simulate
from benchmarks.gate_nights import Model, planted, true_gain

RUNS, FLIPS = 24, 9999


def test_equals_have_no_winner_and_would_have_without_the_correction() -> None:
    tables = [evaluation(seed, {}, FLIPS) for seed in range(RUNS)]
    assert len(tables[0]) == 180
    # At 5 % a table, four or more of 24 come about in one of 40 tries.
    assert sum(any(one.winner for one in table) for table in tables) <= 3
    assert sum(any(one.p < 0.05 for one in table) for table in tables) > RUNS // 2


def test_ten_points_are_found_and_nobody_else_wins() -> None:
    model = planted(lambda x: Model(right={"all": x}), GAIN, 2)
    assert abs(true_gain(model, "right") - GAIN) < 0.003
    tables = [evaluation(seed, {"aligned": model}, FLIPS) for seed in range(RUNS // 2)]
    found = [
        one.winner
        for table in tables
        for one in table
        if (one.metric, one.model, one.against) == ("accuracy", "aligned", "distilled")
    ]
    assert len(found) == RUNS // 2
    assert found.count("aligned") >= RUNS // 3
    assert "distilled" not in found


def test_every_model_is_measured_on_every_question() -> None:
    held_out, general = simulate(np.random.default_rng(0), {})
    for column in held_out.columns:
        assert column.values.keys() == set(MODELS)
        assert all(np.isfinite(own).all() and len(own) == 310 for own in column.values.values())
    assert "teacher_few_shot" not in general.columns[0].values
