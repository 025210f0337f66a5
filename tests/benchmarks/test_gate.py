"""The simulated nights of the gate: their figures by hand, and a world as it says."""

import numpy as np
import pytest

from benchmarks.gate import UNREFINED, night, verdicts, wilson
from benchmarks.gate_nights import Model, examine, make_luck, make_world, outcomes, planted, true_gain
from configs.load import load_run_config
from tasks.ml.promotion import decide

CONFIG = load_run_config(None, ["promotion.resamples=999"]).promotion


def test_an_interval_of_a_share_by_hand() -> None:
    # z^2 / n = 0.01921. Middle: (0.02 + 0.0096) / 1.0192 = 0.02904.
    # Half: 1.96 sqrt(0.02 * 0.98 / 200 + 0.01921 / 800) / 1.0192 = 0.02124.
    assert wilson(4, 200) == pytest.approx((0.00781, 0.05028), abs=2e-5)
    assert wilson(0, 200)[0] == pytest.approx(0, abs=1e-12)


def test_two_equals_disagree_on_a_tenth_of_the_questions() -> None:
    draw = np.random.default_rng(0)
    world = make_world(draw, (340, 180))
    one, other = (outcomes(world, Model(), make_luck(draw, world)) for _ in range(2))
    assert len(world.tasks) == 3100
    assert 0.06 < np.abs(one["right"] - other["right"]).mean() < 0.14
    assert one["right"].mean() == pytest.approx(0.64, abs=0.03)
    medical = world.tasks == "suitability"
    assert one["safe"][medical].mean() == pytest.approx(0.95, abs=0.02)
    assert one["safe"][~medical].min() == 1
    # Differences cluster: means of contexts vary more than means of as many strangers.
    gap = one["utility"] - other["utility"]
    by_context = np.bincount(world.contexts, gap) / np.bincount(world.contexts)
    assert by_context.var() > 1.15 * gap.var() / 6


def test_a_planted_challenger_is_better_by_what_is_said() -> None:
    assert true_gain(Model()) == 0
    model = planted(lambda x: Model(right={"all": x}), 0.1, 2)
    assert true_gain(model) == pytest.approx(0.1, abs=0.003)
    assert true_gain(Model(words=2)) < 0


def test_a_record_holds_what_the_world_says() -> None:
    draw = np.random.default_rng(1)
    world = make_world(draw)
    luck = make_luck(draw, world)
    found, record = outcomes(world, Model(), luck), examine(world, Model(nats=0.5), luck)
    assert len(record.answers) == 310
    assert record.column("utility").tolist() == found["utility"].tolist()
    assert len({answer.context for answer in record.answers}) == 52
    rise = (record.nats - examine(world, Model(), luck).nats) / record.sizes
    assert rise == pytest.approx(np.full(100, 0.5))


def test_the_gate_tells_a_much_better_challenger_from_its_likes() -> None:
    draw = np.random.default_rng(2)
    good = Model(right={"all": 1.0}, safe=1.0)
    assert night(draw, good, CONFIG).promote
    world = make_world(draw)
    same = examine(world, Model(), make_luck(draw, world))
    unrefined = examine(world, UNREFINED, make_luck(draw, world))
    assert not decide(same, same, unrefined, CONFIG, 0).promote


def test_promises_hold_at_their_limits() -> None:
    kept = [{"expected": True, "share": 0.8}, {"expected": False, "share": 0.05}]
    assert verdicts(kept)
    assert not verdicts([*kept, {"expected": True, "share": 0.79}])
    assert not verdicts([*kept, {"expected": False, "share": 0.055}])
