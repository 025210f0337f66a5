"""The ladder: which stages a rung needs, what it costs, how it is written, and that it can be climbed."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from configs.errors import ConfigError
from flows.graph import LADDER, PIPELINE
from flows.ladder import RUNGS, Climber, rungs_named
from flows.ladder_results import cells, ladder_chart, number, print_ladder
from tasks.reporting.costs import sum_costs


def line(**changes) -> dict:
    return {
        "rung": "LoRA",
        "model": "teacher",
        "accuracy": [0.512, 0.45, 0.57],
        "perplexity": [1.25, 1.2, 1.31],
        "parameters": 134_500_000,
        "rows": 150,
        "trained_parameters": 4_880_000,
        "seconds": 212.4,
        "kwh": 0.0021,
        "peak_memory_mb": 2345.0,
        "energy_source": "estimate",
    } | changes


def test_every_rung_is_made_and_paid_by_stages_that_there_are() -> None:
    known = {*PIPELINE, *LADDER}
    assert len({rung.name for rung in RUNGS}) == len(RUNGS) == 12
    for rung in RUNGS:
        assert {*rung.paid, rung.made_by or "clean"} <= known
        stages = Climber._stages(None, rung)
        assert set(rung.paid) <= set(stages)
        assert stages[-1] == (rung.made_by or "clean")
        assert (rung.made_by is None) == (not rung.paid)
        assert rung.align == ("dpo" if rung.name == "KD + DPO" else "ppo")


def test_costs_are_added_up_and_the_largest_peak_counts() -> None:
    first = {"seconds": 10.0, "kwh": 0.5, "peak_memory_mb": 900.0, "energy_source": "estimate"}
    second = {"seconds": 4.0, "kwh": 0.25, "peak_memory_mb": 1200.0, "energy_source": "rapl"}
    assert sum_costs([first, second]) == {
        "seconds": 14.0,
        "kwh": 0.75,
        "peak_memory_mb": 1200.0,
        "energy_source": "estimate and rapl",
    }
    assert sum_costs([first, {}])["kwh"] is None
    assert sum_costs([])["seconds"] == 0


def test_a_rung_is_written_with_its_intervals() -> None:
    assert cells(line()) == [
        "LoRA",
        "teacher",
        "51.2\n[45, 57]",
        "1.25\n[1.20, 1.31]",
        "4.88 M",
        "212",
        "2.35",
        "2.10",
    ]
    assert cells(line(trained_parameters=0))[4:] == ["-", "-", "-", "-"]
    assert cells(line(seconds=None, kwh=None))[5::2] == ["?", "?"]


def test_numbers_keep_about_three_digits() -> None:
    assert [number(x) for x in (0.1234, 12.34, 1234.0)] == ["0.12", "12.3", "1.23 k"]


def test_the_table_fits_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_ladder([line(rung=rung.name, model=rung.model) for rung in RUNGS], Console(width=80))
    shown = capsys.readouterr().out
    assert "prompt tuning" in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "5 W a core" in shown


def test_the_chart_holds_every_rung_whose_cost_is_known() -> None:
    lines = [line(), line(rung="zero-shot", kwh=0.0, trained_parameters=0), line(rung="old", kwh=None)]
    axes = ladder_chart(lines).axes[0]
    assert [text.get_text().strip() for text in axes.texts] == ["LoRA", "zero-shot"]
    # Both are right as often: the names stand one above the other.
    assert axes.texts[0].xy == (pytest.approx(2.1), pytest.approx(51.2))
    assert axes.texts[1].xy == (pytest.approx(1.05), pytest.approx(51.2 + 7.5))


def test_an_unknown_rung_is_named_with_the_nearest_right_one() -> None:
    assert rungs_named(" LoRA, KD + PPO ") == ["LoRA", "KD + PPO"]
    assert rungs_named("") == []
    with pytest.raises(ConfigError, match="Did you mean `QLoRA`"):
        rungs_named("KD,QLORA")


@pytest.mark.flow
@pytest.mark.timeout(240)
def test_two_rungs_are_climbed_and_climbed_again_for_nothing(tmp_path: Path, retort_at: Any) -> None:
    retort = retort_at(tmp_path / "home")
    command = ("ladder", str(retort.smoke), "--rungs", "zero-shot,IA3")
    first = retort(*command)
    assert first.code == 0, first.err
    latest = retort.home / "latest"
    lines = json.loads((latest / "ladder.json").read_text())
    assert [line["rung"] for line in lines] == ["zero-shot", "IA3"]
    assert lines[0]["seconds"] == 0
    # Keys and values of 2 heads of 8 each, and 64 activations, in 4 layers.
    assert lines[1]["trained_parameters"] == 4 * (16 + 16 + 64)
    assert lines[1]["seconds"] > 0
    assert 100 < lines[1]["peak_memory_mb"] < 4000
    assert (latest / "ladder.png").stat().st_size > 10_000
    again = retort(*command)
    assert again.code == 0, again.err
    assert again.out == first.out
    assert json.loads((latest / "ladder.json").read_text()) == lines
