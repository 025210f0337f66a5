"""Stage `evaluate` on tiny models: its files, its records, and figures worked out again from the answers."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tasks.evaluate
from configs.load import load_run_config
from tasks.ml.comparing import PAIRS
from tasks.ml.facts import load_foods
from tasks.ml.models import ScoredModel, save_model, tiny_random_model
from tasks.ml.questions import Style, make_rows, make_sheets
from tasks.ml.rows import Row, write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.shared.tracking import MemoryRun
from tasks.stage import StageContext

ROOT = Path(__file__).parents[2]
MODELS = ("unrefined", "teacher_zero_shot", "teacher_few_shot", "distilled", "aligned")
PLAN = ("lookup", "good_source", "suitability", "forecast")
JSON_FILES = ("answers", "calibration", "columns", "comparisons", "figures", "slices")


def questions() -> list[Row]:
    foods = load_foods(ROOT / "configs" / "data" / "usda_foods.csv")[::70]
    sheets = make_sheets(foods, 8, 1, 4, "test")
    rows = [row for sheet in sheets[:6] for row in make_rows(sheet, "test", PLAN, Style(0, 0), 1)]
    return rows + [row for sheet in sheets[6:] for row in make_rows(sheet, "train", PLAN, Style(0, 0), 1)]


ASKED = [row for row in questions() if row.split == "test"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Artifacts as the stages before leave them."""
    folder = tmp_path_factory.mktemp("inputs")
    tokenizer = byte_tokenizer()
    for seed, name in enumerate(("distill/unrefined", "distill/model", "aligned/model"), 1):
        save_model(folder / name, tiny_random_model(tokenizer, seed), tokenizer)
    ScoredModel(tiny_random_model(tokenizer, 9), heads=2).save(folder / "reward" / "model", tokenizer)
    (folder / "clean").mkdir()
    write_rows(folder / "clean" / "rows.jsonl", questions())
    return {name: folder / name for name in ("clean", "distill", "aligned", "reward")}


def context_of(folder: Path, inputs: dict[str, Path], *overrides: str) -> Any:
    (folder / "out").mkdir(parents=True)
    settings = (
        "evaluate.precision=fp32",
        "evaluate.judge.precision=fp32",
        "evaluate.max_new_tokens=6",
        "evaluate.likelihood_questions=24",
    )
    config = load_run_config(ROOT / "configs" / "smoke.yaml", [*settings, *overrides])
    scale = {"score_mean": 0.0, "score_deviation": 2.0, "tie_threshold": 0.1}
    context = SimpleNamespace(
        config=config.model_dump(mode="json"),
        inputs=inputs,
        refs={"reward": SimpleNamespace(summary=scale)},
        out=folder / "out",
        seed=7,
        run=MemoryRun("id", "stage", {}, {}),
        external={"teacher": "sha256:1234"},
        bar=lambda *_: SimpleNamespace(advance=lambda *_: None),
        teacher_source=("random:tiny", "main", folder / "models"),
    )
    context.section = lambda kind, name: StageContext.section(context, kind, name)
    return context


def read(context: Any) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(context.out.glob("*.json"))}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, inputs) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    context = context_of(tmp_path_factory.mktemp("stage"), inputs, "evaluate.judge.questions=3")
    summary = tasks.evaluate.run(context)
    return summary, context, read(context)


def test_every_file_is_there_and_every_number_of_it_in_the_records(ran) -> None:
    summary, context, files = ran
    assert tuple(files) == JSON_FILES
    finals = context.run.finals
    for one in files["figures"]:
        assert one["low"] <= one["value"] <= one["high"], one
        name = f"{one['metric']}/{one['model']}"
        assert [finals[name], finals[f"{name}_low"], finals[f"{name}_high"]] == [
            one["value"],
            one["low"],
            one["high"],
        ]
    for one in files["comparisons"]:
        name = f"difference/{one['metric']}/{one['model']}/{one['against']}"
        assert finals[name] == one["difference"]
        assert finals[f"{name}_low"] == one["low"] <= one["high"] == finals[f"{name}_high"]
        assert finals[f"{name}/adjusted_p"] == one["adjusted_p"] >= one["p"]
    for one in files["slices"]:
        name = f"slice/{one['by']}/{one['slice']}/{one['metric']}/{one['model']}"
        assert finals[name] == one["value"]
    assert set(context.run.tables) == {
        f"{name}.json" for name in ("answers", "comparisons", "figures", "slices")
    }
    assert context.run.files == ["evaluation/calibration.json", "evaluation/columns.json"]
    assert summary["rows"] == len(ASKED)
    assert summary["comparisons"] == len(files["comparisons"])


def test_every_metric_is_there_for_every_model(ran) -> None:
    *_, files = ran
    found = {(one["metric"], one["model"]) for one in files["figures"]}
    everybody = (
        *("accuracy", "accuracy_lookup", "accuracy_forecast", "gold_utility", "gold_win_rate", "stop_rate"),
        *("words", "repetition", "rouge_l", "chrf", "distinct_2", "confidence", "brier", "calibration_error"),
        *("forecast_error", "forecast_within_10", "forecast_stated", "perplexity", "bits_per_byte"),
        *("reward", "reward_win_rate", "judge_win_rate", "parameters", "energy", "inference_memory"),
        *("latency", "latency_median", "latency_p95"),
    )
    assert [(m, name) for m in everybody for name in MODELS if (m, name) not in found] == []
    # With worked examples a model writes as fast as without.
    for metric in ("tokens_per_second", "speedup_over_teacher"):
        assert {name for one, name in found if one == metric} == set(MODELS) - {"teacher_few_shot"}
    assert ("kl_to_distilled", "aligned") in found
    flips = {name for metric, name in found if metric == "judge_order_flips"}
    assert flips == set(MODELS) - {"distilled"}


def test_comparisons_are_paired_differences_of_the_columns(ran) -> None:
    *_, files = ran
    (sample,) = files["columns"]
    columns = {one["metric"]: one for one in sample["columns"]}
    compared = {(c["metric"], c["model"], c["against"]): c for c in files["comparisons"]}
    for metric in ("accuracy", "words", "bits_per_byte", "reward"):
        for model, against in PAIRS:
            pairs = zip(
                columns[metric]["values"][model],
                columns[metric]["values"][against],
                columns[metric]["weights"],
                strict=True,
            )
            weighed = [(w * (a - b), w) for a, b, w in pairs]
            expected = sum(d for d, _ in weighed) / sum(w for _, w in weighed)
            assert compared[metric, model, against]["difference"] == pytest.approx(expected), metric
            assert compared[metric, model, against]["n"] == sum(w > 0 for _, w in weighed)
    # Of wins, what is above one half: wins less losses, by 0.02 of utility at least, over twice the number.
    utility = columns["gold_utility"]["values"]
    gaps = [a - b for a, b in zip(utility["aligned"], utility["distilled"], strict=True)]
    expected = (sum(g > 0.02 for g in gaps) - sum(g < -0.02 for g in gaps)) / (2 * len(gaps))
    assert compared["gold_win_rate", "aligned", "distilled"]["difference"] == pytest.approx(expected)
    # A language model judges beside the distilled model alone, on three questions of too few contexts.
    assert not {key for key in compared if key[0].startswith("judge")}
    assert all(one["winner"] is None for one in files["comparisons"] if one["better"] is None)


def test_slices_hold_the_questions_that_they_name(ran) -> None:
    *_, files = ran
    (sample,) = files["columns"]
    rows = {row.id: row for row in questions()}
    right = next(one for one in sample["columns"] if one["metric"] == "accuracy")["values"]["aligned"]
    for one in files["slices"]:
        if (one["by"], one["metric"], one["model"]) == ("task", "accuracy", "aligned"):
            inside = [
                r for r, name in zip(right, sample["ids"], strict=True) if rows[name].task == one["slice"]
            ]
            assert one["n"] == len(inside) == [row.task for row in ASKED].count(one["slice"]) >= 5
            assert one["value"] == pytest.approx(sum(inside) / len(inside))
    assert {one["slice"] for one in files["slices"] if one["by"] == "task"} == set(PLAN)


def test_bins_of_confidence_hold_every_answer_once(ran) -> None:
    *_, files = ran
    errors = {one["model"]: one["value"] for one in files["figures"] if one["metric"] == "calibration_error"}
    for one in files["calibration"]:
        assert sum(part["n"] for part in one["bins"]) == len(ASKED)
        for before, after in zip(one["bins"], one["bins"][1:], strict=False):
            assert before["low"] <= before["confidence"] <= before["high"] <= after["low"]
        by_hand = sum(part["n"] * abs(part["accuracy"] - part["confidence"]) for part in one["bins"]) / len(
            ASKED
        )
        assert one["error"] == pytest.approx(by_hand)
        assert errors[one["model"]] == pytest.approx(by_hand)


def test_energy_and_memory_are_of_the_size_of_the_model(ran) -> None:
    *_, files = ran
    figures = {(one["metric"], one["model"]): one for one in files["figures"]}
    for name in MODELS:
        weights = 4 * figures["parameters", name]["value"] / 1e6
        assert weights <= figures["inference_memory", name]["value"] < weights + 500
        assert 0 < figures["energy", name]["value"] < 1000
        assert 0 < figures["latency_median", name]["value"] <= figures["latency_p95", name]["value"] < 30


def test_without_a_reward_model_or_a_judge_nothing_is_said_of_them(tmp_path: Path, inputs) -> None:
    others = {name: path for name, path in inputs.items() if name != "reward"}
    context = context_of(tmp_path, others, "evaluate.questions=8", "evaluate.flips=999")
    summary = tasks.evaluate.run(context)
    metrics = {one["metric"] for one in read(context)["figures"]}
    assert not {name for name in metrics if name.startswith(("reward", "judge", "harness"))}
    # Two contexts tell nothing of a difference.
    assert summary["comparisons"] == 0
    assert all(math.isfinite(value) for value in context.run.finals.values())
