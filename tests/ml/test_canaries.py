"""Canaries: planted as often as asked for, and exposed by as many bits as a rank by hand says."""

import math
import random
from pathlib import Path

import pytest

from configs.load import load_run_config
from tasks.ml.batteries import Panel, probe_canaries
from tasks.ml.canaries import CANARY, canary_row, canary_rows, candidates, draw_code, exposure
from tasks.ml.evaluation import Contestant
from tasks.ml.findings import Findings
from tasks.ml.progress import NoBar
from tasks.ml.prompts import encode
from tests.ml.taught_models import taught, word_tokenizer

SMOKE = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def test_canaries_come_as_often_as_asked_for_and_are_always_the_same() -> None:
    rows = canary_rows(3, 2, seed=7)
    assert len(rows) == 6
    assert len({row.id for row in rows}) == 6
    assert [row.answer for row in rows[::2]] == [row.answer for row in rows[1::2]]
    assert len({row.answer for row in rows}) == 3
    assert {row.task for row in rows} == {CANARY}
    assert {row.split for row in rows} == {"train"}
    assert rows == canary_rows(3, 2, seed=7)
    assert rows[0].answer != canary_rows(3, 2, seed=8)[0].answer
    # The first canary is the same however many there are.
    assert rows[0] == canary_rows(1, 1, seed=7)[0]
    assert canary_rows(0, 5, seed=7) == []


def test_a_code_has_six_digits_apart() -> None:
    code = draw_code(random.Random(1))
    assert len(code) == 11
    assert all(digit.isdigit() for digit in code.split())


def test_candidates_differ_in_the_code_alone() -> None:
    [row] = canary_rows(1, 1, seed=7)
    found = candidates(row, 50, seed=1)
    assert found[0] == row
    assert len({other.answer for other in found}) == 50
    assert {other.question for other in found} == {row.question}
    assert found == candidates(row, 50, seed=1)


@pytest.mark.parametrize(
    ("nats", "bits"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 3.0),  # first of 8
        ([2.5, 1.0, 3.0, 4.0], 1.0),  # second of 4
        ([9.0, 1.0, 3.0, 4.0], 0.0),  # last
        ([3.0, 1.0, 2.0, 9.0], 2 - math.log2(3)),
        ([1.0, 1.0, 1.0, 1.0], 0.0),  # nothing told from another
    ],
)
def test_exposure_by_hand(nats: list[float], bits: float) -> None:
    assert exposure(nats) == pytest.approx(bits)


def test_without_memory_exposure_is_about_one_and_a_half_bits() -> None:
    # Mean of -log2 of a uniform number is log2 e = 1.443.
    draw = random.Random(3)
    found = [exposure([draw.random() for _ in range(256)]) for _ in range(3000)]
    assert sum(found) / len(found) == pytest.approx(math.log2(math.e), abs=0.1)


def test_a_model_that_saw_the_canaries_gives_them_away_and_another_does_not() -> None:
    planted = canary_rows(6, 1, seed=7)
    others = [canary_row(int(row.id.split("-")[1]), draw_code(random.Random(row.id))) for row in planted]
    tokenizer = word_tokenizer(
        [*(row.question for row in planted), *(row.answer or "" for row in planted), "0 1 2 3 4 5 6 7 8 9"]
    )
    config = load_run_config(SMOKE, ["assess.canary_candidates=32", "assess.limits.canary_exposure=3"]).assess
    models = tuple(
        Contestant(name, taught(tokenizer, [encode(tokenizer, row) for row in seen], steps=100), tokenizer)
        for name, seen in (("saw", planted), ("did not", others))
    )
    found = Findings(config.resamples, 7)
    probe_canaries(Panel(models, config, 7, lambda *_: NoBar()), planted, found)
    bits = {figure["model"]: figure for figure in found.figures}
    assert {figure["metric"] for figure in found.figures} == {"canary_exposure"}
    # The most that 32 candidates can show is 5 bits.
    assert bits["saw"]["value"] > 4.5
    assert bits["saw"]["n"] == 6
    assert bits["did not"]["value"] < 3
    assert found.flagged() == {("canary_exposure", "saw")}


def test_without_canaries_nothing_is_measured() -> None:
    config = load_run_config(SMOKE, []).assess
    found = Findings(config.resamples, 7)
    probe_canaries(Panel((), config, 7, lambda *_: NoBar()), [], found)
    assert (found.figures, found.flags) == ([], [])
