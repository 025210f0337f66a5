"""The simulation of annotators who tie: its parts by hand, and that counting ties helps where it should."""

import math
import random

import pytest

from benchmarks.reward_ties import (
    KINDS,
    TIE_SHARE,
    calibrated,
    fit,
    fit_davidson,
    gap_error,
    interval,
    simulate,
    tied_share,
)
from configs.load import load_run_config
from tasks.feedback.pairs import pairs_of, ties_of


def test_the_error_is_of_gaps_and_not_of_heights() -> None:
    assert gap_error([5.0, 6.0, 8.0], [0.0, 1.0, 3.0]) == pytest.approx(0)
    # Gaps 1, 3, 2 found as 2, 3, 1.
    assert gap_error([0.0, 2.0, 3.0], [0.0, 1.0, 3.0]) == pytest.approx(math.sqrt(2 / 3))


@pytest.mark.parametrize("kind", list(KINDS))
def test_three_judgements_of_ten_are_ties(kind: str) -> None:
    draw = random.Random(5)
    make, size = KINDS[kind]
    sets = [[draw.gauss(0, 1.2) for _ in range(size)] for _ in range(1500)]
    judge = calibrated(make, sets, 1)
    assert tied_share(judge, sets, random.Random(6)) == pytest.approx(TIE_SHARE, abs=0.03)


def test_as_many_pairs_are_judged_of_every_kind() -> None:
    for kind in KINDS:
        truth, events = simulate(kind, 3)
        assert len(truth) == 10
        assert sum(len(pairs_of(event)) + len(ties_of(event)) for event in events) == 540


def test_two_answers_have_the_gap_that_can_be_worked_by_hand() -> None:
    # The same two answers in every event, w wins, l losses, t ties.
    config = load_run_config(None, []).reward
    _, events = simulate("pairs, Davidson's", 0)
    pair = [event for event in events if {answer.text for answer in event.answers} == {"000", "001"}]
    wins = sum(place.chosen == "000" for event in pair for place in pairs_of(event))
    ties = sum(len(ties_of(event)) for event in pair)
    losses = len(pair) - wins - ties
    assert wins
    assert losses
    assert ties
    one, other = fit(pair, config, "bradley_terry")
    assert one - other == pytest.approx(math.log(wins / losses), abs=1e-3)
    # Davidson's odds of the decided are the same; Rao and Kupper's logits are gap -+ threshold.
    one, other = fit_davidson(pair, config)
    assert one - other == pytest.approx(math.log(wins / losses), abs=1e-3)
    up, down = math.log(wins / (losses + ties)), math.log(losses / (wins + ties))
    for loss in ("rao_kupper", "plackett_luce"):
        one, other = fit(pair, config, loss)
        assert one - other == pytest.approx((up - down) / 2, abs=1e-3)


def test_counting_ties_recovers_the_gaps_of_people_who_tie_what_they_cannot_tell_apart() -> None:
    config = load_run_config(None, []).reward
    saved = []
    for seed in range(8):
        truth, events = simulate("pairs, normal noise", seed)
        dropped, counted = (fit(events, config, loss) for loss in ("bradley_terry", "rao_kupper"))
        saved.append(gap_error(dropped, truth) - gap_error(counted, truth))
    assert interval(saved)[1] > 0.1
