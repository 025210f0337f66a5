"""Energy and CO2 of a run, by hand, out of the records of its stages."""

from pathlib import Path
from typing import Any

import pytest

from flows.footprint import footprint, footprint_metrics
from tasks.ml.footprint import grid
from tasks.shared.artifacts import ArtifactRef
from tasks.shared.local_store import LocalStore


def committed(store: LocalStore, folder: Path, stage: str, record: dict[str, Any] | None) -> ArtifactRef:
    out = folder / f"out-{stage}"
    out.mkdir()
    (out / "file").write_text(stage)
    ref = store.commit(f"{stage}/{'0' * 64}", stage, out, [], {}, {})
    if record is not None:
        store.write_record(ref.key, record)
    return ref


def test_stages_are_summed_and_those_gone_on_with_are_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    cost = {"seconds": 10.0, "kwh": 0.002, "peak_memory_mb": 1.0, "energy_source": "estimate"}
    records = {
        "clean": {"state": "executed", "cost": cost},
        "ppo": {"state": "executed", "cost": cost | {"kwh": 0.01, "energy_source": "rapl"}},
        "distill": {"state": "resumed", "cost": cost},
        "label": None,
    }
    refs = {stage: committed(store, tmp_path, stage, record) for stage, record in records.items()}
    found = footprint(store, refs, "FRA")
    grams = grid("FRA").grams_per_kwh
    assert [(one["stage"], one["kwh"], one["source"]) for one in found["stages"]] == [
        ("clean", 0.002, "estimate"),
        ("ppo", 0.01, "rapl"),
    ]
    assert found["stages"][1]["kg_co2e"] == pytest.approx(0.01 * grams / 1000)
    assert found["unknown"] == ["distill", "label"]
    metrics = footprint_metrics(found)
    assert metrics["footprint/kwh"] == pytest.approx(0.012)
    assert metrics["footprint/kg_co2e"] == pytest.approx(0.012 * grams / 1000)
    assert metrics["footprint/kwh/ppo"] == 0.01
    assert len(metrics) == 6
