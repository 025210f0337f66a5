"""The stage `assess` as a whole, on tiny models with and without a planted fault."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import load_run_config
from tasks import assess
from tasks.clean import questions_from_facts
from tasks.ml.canaries import canary_rows
from tasks.ml.facts import load_foods
from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.progress import NoBar
from tasks.ml.rows import write_rows
from tasks.ml.teacher import byte_tokenizer
from tasks.shared.errors import DataError
from tasks.shared.tracking import MemoryRun

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "ethics"
MODELS = {"teacher_zero_shot", "distilled", "aligned"}


def stage(folder: Path, *overrides: str) -> tuple[dict[str, Any], Path, MemoryRun]:
    """Run the stage on random models; gives its summary, its folder and its run."""
    config = load_run_config(ROOT / "configs" / "smoke.yaml", ["assess.precision=fp32", *overrides])
    inputs = {name: folder / name for name in ("clean", "distill", "aligned", "evaluate")}
    out = folder / "out"
    for path in (*inputs.values(), out):
        path.mkdir()
    rows = questions_from_facts(load_foods(ROOT / config.data.source), config.data, 7)
    write_rows(inputs["clean"] / "rows.jsonl", [*rows, *canary_rows(2, 1, 7)])
    tokenizer = byte_tokenizer()
    for seed, name in enumerate(("distill", "aligned")):
        save_model(inputs[name] / "model", tiny_random_model(tokenizer, seed), tokenizer)
    accuracy = {"metric": "accuracy", "model": "aligned", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    (inputs["evaluate"] / "figures.json").write_text(json.dumps([{**accuracy, "unit": "share"}]))
    run = MemoryRun(id="1", name="assess", tags={}, params={})
    context: Any = SimpleNamespace(
        section=lambda kind, name: getattr(config, name),
        seed=7,
        inputs=inputs,
        out=out,
        cache=folder,
        data_endpoint=None,
        teacher_source=("random:tiny", "main", folder),
        run=run,
        bar=lambda description, total, unit: NoBar(),
    )
    return assess.run(context), out, run


@pytest.fixture(scope="module")
def assessed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, MemoryRun]:
    return stage(tmp_path_factory.mktemp("assessed"))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_file_of_the_stage_says_what_was_measured(assessed: Any) -> None:
    summary, out, run = assessed
    figures = {(f["metric"], f["model"]): f for f in read(out / "figures.json")}
    for metric in ("unsafe_advice", "missing_referral", "refusal_unsafe", "over_refusal", "toxicity"):
        assert {model for name, model in figures if name == metric} == MODELS
    for kind in ("gender", "age", "origin", "religion", "body", "control"):
        assert {model for name, model in figures if name == "bias_gap_" + kind} == {"distilled", "aligned"}
    for metric in ("robustness_typos", "robustness_paraphrase", "canary_exposure"):
        assert {model for name, model in figures if name == metric} == {"distilled", "aligned"}
    assert all(f["low"] <= f["value"] <= f["high"] for f in figures.values())
    # Every number is a metric of the run as well.
    assert {
        f"{metric}/{model}": f["value"] for (metric, model), f in figures.items()
    }.items() <= run.finals.items()
    flags = read(out / "flags.json")
    assert summary["flags"] == sum(flag["flagged"] for flag in flags)
    # Random bytes refuse nothing and point to nobody.
    flagged = {(flag["check"], flag["model"]) for flag in flags if flag["flagged"]}
    assert {(check, "aligned") for check in ("missing_referral", "refusal_unsafe")} <= flagged
    assert ("over_refusal", "aligned") not in flagged
    assert not {check for check, _ in flagged if check.startswith("bias_gap")}
    assert read(out / "footprint.json")["intensity_g_per_kwh"] == pytest.approx(56.039)


def test_the_impact_assessment_has_figures_and_open_questions(assessed: Any) -> None:
    _, out, _ = assessed
    figures = {(f["metric"], f["model"]): f for f in read(out / "figures.json")}
    impact = {scenario["scenario"]: scenario for scenario in read(out / "impact.json")}
    assert impact.keys() == {"clinic_leaflet", "school_canteen", "consumer_app"}
    for scenario in impact.values():
        assert scenario["open_questions"]
        assert all(text.keys() == {"en", "fr"} for text in scenario["open_questions"])
        facts = {fact["metric"]: fact for fact in scenario["facts"]}
        assert facts.pop("accuracy")["value"] == 0.5
        assert facts
        for metric, fact in facts.items():
            assert fact["value"] == figures[metric, "aligned"]["value"]
            assert fact["claim"].keys() == {"en", "fr"}
    # Nothing is said of what the run did not measure.
    assert impact["school_canteen"]["not_measured"] == ["gold_utility"]
    licences = {row["what"]: row for row in read(out / "licences.json")}
    assert licences["teacher"]["licence"] == "made here"
    assert "public domain" in licences["data"]["licence"]


def test_files_of_others_are_asked_and_malformed_rows_set_aside(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    lines = [{"prompt": f"Prompt {n}?", "label": "unsafe" if n % 2 else "safe"} for n in range(6)]
    prompts.write_text("\n".join(map(json.dumps, [*lines, {"prompt": "No label"}])))
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        json.dumps({"sent_more": "They are late.", "sent_less": "We are late.", "bias_type": "x"})
    )
    overrides = (f"assess.xstest={prompts}", f"assess.stereotypes={pairs}")
    summary, out, _ = stage(tmp_path, *overrides)
    counts = {(f["metric"], f["model"]): f["n"] for f in read(out / "figures.json")}
    assert counts["xstest_refusal_unsafe", "aligned"] == counts["xstest_over_refusal", "aligned"] == 3
    assert counts["stereotype_preference", "aligned"] == 1
    assert summary["malformed"] == 1
    assert '"line": 7' in (out / "set_aside.jsonl").read_text()


def test_other_labels_are_refused(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"prompt": "Why?", "label": "maybe"}))
    with pytest.raises(DataError, match="label maybe"):
        stage(tmp_path, f"assess.xstest={prompts}")


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data/ethics is not beside the checkout")
def test_xstest_and_crows_pairs_are_read_as_they_are() -> None:
    prompts, pairs = SHARED / "xstest.jsonl", SHARED / "crows_pairs.jsonl"
    overrides = [f"assess.xstest={prompts}", f"assess.stereotypes={pairs}", "assess.file_rows=2000"]
    config = load_run_config(ROOT / "configs" / "smoke.yaml", overrides).assess
    context: Any = SimpleNamespace(cache=ROOT, data_endpoint=None, seed=7)
    files = assess.read_files(context, config)
    assert (len(files.harmless), len(files.harmful), len(files.pairs)) == (250, 200, 1508)
    assert files.bad == []
