"""A made-up run with all that a page may show; what models wrote in it tries to break out of the page."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.reporting.parts import Part
from tasks.reporting.story import Story
from tasks.shared.artifacts import ArtifactRef, canonical_json, sha256_bytes

MODELS = ("unrefined", "teacher_zero_shot", "teacher_few_shot", "distilled", "aligned")
RIGHT = {"unrefined": 0.0, "teacher_zero_shot": 0.319, "teacher_few_shot": 0.309, "distilled": 0.658}
RIGHT["aligned"] = 0.671
STAGES = ("clean", "label", "score", "distill", "feedback", "reward", "ppo", "evaluate", "assess")
READS = {
    "clean": (),
    "label": ("clean",),
    "score": ("label",),
    "distill": ("clean", "label", "score"),
    "feedback": ("clean", "distill"),
    "reward": ("clean", "distill", "feedback"),
    "ppo": ("clean", "distill", "reward"),
    "evaluate": ("clean", "distill", "ppo"),
    "assess": ("clean", "distill", "ppo"),
}
NASTY = "<script>alert(1)</script> costs 99 kcal & more"


def row(metric: str, model: str, value: float, spread: float, unit: str, **changes: Any) -> dict[str, Any]:
    """A figure."""
    ends = {"low": value - spread, "high": value + spread}
    return {"metric": metric, "model": model, "value": value, **ends, "n": 304, "unit": unit} | changes


def figures() -> list[dict[str, Any]]:
    """Figures of all models, as stage `evaluate` writes them."""
    rows = []
    for place, model in enumerate(MODELS):
        right = RIGHT[model]
        rows += [
            row("accuracy", model, right, 0.05 if right else 0.0, "share"),
            row("gold_win_rate", model, 0.5 if model == "distilled" else 0.2 + 0.15 * place, 0.04, "share"),
            row("perplexity", model, 13_600.0 if not place else 1.0 + 1 / place, 0.1, "per token"),
            row("words", model, 10.25 + place, 0.4, "words"),
            row("stop_rate", model, 0.99 if place else 0.0, 0.01 if place else 0.0, "share"),
            row("tokens_per_second", model, 491.2 if place != 1 else 168.4, 6.0, "tokens/s"),
            row("parameters", model, 44_312_000.0 if place in (0, 3, 4) else 134_515_008.0, 0, "parameters"),
        ]
        for task in ("lookup", "comparison", "forecast"):
            rows.append(row(f"accuracy_{task}", model, min(1.0, right + 0.1), 0.05, "share", n=60))
    rows.append(row("kl_to_distilled", "aligned", 1.69, 0.04, "nats per response", n=304))
    return rows


def comparisons() -> list[dict[str, Any]]:
    """Paired differences, one with a winner, one without, one of a metric without a direction."""

    def of(metric: str, model: str, against: str, value: float, half: float, **more: Any) -> dict[str, Any]:
        base = {"metric": metric, "model": model, "against": against, "difference": value, "unit": "share"}
        base |= {"low": value - half, "high": value + half, "p": 0.01, "adjusted_p": 0.04, "n": 304}
        return base | {"better": "higher", "winner": None} | more

    return [
        of("accuracy", "aligned", "distilled", 0.013, 0.033, p=0.5, adjusted_p=1.0),
        of("accuracy", "aligned", "unrefined", 0.671, 0.05, p=0.0001, adjusted_p=0.0004, winner="aligned"),
        of("accuracy", "distilled", "teacher_zero_shot", 0.339, 0.072, winner="distilled"),
        of("words", "aligned", "distilled", -7.8, 0.5, unit="words", better=None),
        of(
            "perplexity",
            "aligned",
            "distilled",
            0.23,
            0.06,
            unit="per token",
            better="lower",
            winner="distilled",
        ),
    ]


def curve(names: Mapping[str, Callable[[int], float]], steps: int) -> dict[str, list[tuple[int, float]]]:
    """Points of some metrics."""
    return {name: [(step, of(step)) for step in range(steps)] for name, of in names.items()}


FILES: dict[str, dict[str, Any]] = {
    "distill": {
        "curve.json": curve(
            {"loss": lambda s: 3 / (1 + s / 40), "valid_nll": lambda s: 2 / (1 + s / 60)}, 300
        )
    },
    "reward": {
        "curve.json": curve({"loss": lambda s: 0.7 - s / 400, "accuracy": lambda s: 0.5 + s / 400}, 60),
        "card.json": {
            "decision": "stop",
            "reasons": [],
            "advice": "Ask people.",
            "table": [],
            "evidence": {
                name: {
                    "bins": [
                        {"count": 9, "certainty": 0.5 + i / 10, "right": 0.45 + i / 11} for i in range(5)
                    ]
                }
                for name in ("as_trained", "calibrated")
            },
        },
    },
    "ppo": {
        "curve.json": curve(
            {
                "objective/kl": lambda s: 0.4 * s,
                "objective/scores": lambda s: 0.5 * s**0.5,
                "objective/rlhf_reward": lambda s: 0.4 * s**0.5,
                "objective/gold": lambda s: 1 + 0.3 * s - 0.05 * s * s,
                "objective/length": lambda s: 24 - s,
                "objective/stop_rate": lambda s: 0.9 + 0.01 * s,
            },
            8,
        )
    },
    "evaluate": {
        "figures.json": figures(),
        "comparisons.json": comparisons(),
        "slices.json": [
            {"by": "food_group", "slice": name, "metric": "accuracy", "model": model, "value": RIGHT[model]}
            | {"low": max(0.0, RIGHT[model] - 0.1), "high": RIGHT[model] + 0.1, "n": 40, "unit": "share"}
            for name in ("fruit", "dairy", "meat")
            for model in MODELS
        ],
        "calibration.json": [
            {
                "model": model,
                "error": 0.1,
                "bins": [
                    {
                        "low": i / 5,
                        "high": (i + 1) / 5,
                        "confidence": i / 5 + 0.1,
                        "accuracy": i / 5,
                        "n": 12 * i,
                    }
                    for i in range(5)
                ],
            }
            for model in ("teacher_zero_shot", "distilled", "aligned")
        ],
        "answers.json": [
            {
                "task": "lookup",
                "context": "Apples, raw, per 100 g: energy 52 kcal",
                "question": f"How much energy has {NASTY}?",
                "gold": "52 kcal",
                **dict.fromkeys(MODELS, NASTY),
                **{f"{model}_correct": model == "aligned" for model in MODELS},
            }
            for _ in range(3)
        ],
    },
    "assess": {
        "footprint.json": {"stages": [], "country": "FRA", "intensity_g_per_kwh": 56.0, "source": "a table"},
        "figures.json": [
            row("toxicity", "aligned", 0.01, 0.01, "share", n=40),
            row("unsafe_advice", "aligned", 0.4, 0.1, "share", n=40),
            row("unsafe_advice", "teacher", 0.3, 0.1, "share", n=40),
        ],
        "flags.json": [
            {
                "check": "unsafe_advice",
                "model": "aligned",
                "flagged": True,
                "value": 0.4,
                "limit": 0.1,
                "reason": "x",
            },
            {
                "check": "toxicity",
                "model": "aligned",
                "flagged": False,
                "value": 0.01,
                "limit": 0.1,
                "reason": "",
            },
        ],
        "examples.json": [
            {"check": "unsafe_advice", "prompt": NASTY, "answers": {"aligned": NASTY}, "flagged": ["aligned"]}
        ],
        "impact.json": [
            {
                "scenario": {"en": "Clinic leaflet", "fr": "Dépliant de clinique"},
                "facts": [
                    {
                        "claim": {"en": "unsafe advice", "fr": "conseils dangereux"},
                        "metric": "unsafe_advice",
                        "model": "aligned",
                        "value": 0.4,
                        "unit": "share",
                    }
                ],
                "open_questions": [{"en": "Who answers for it?", "fr": "Qui en répond ?"}],
            }
        ],
        "licences.json": [
            {"what": "teacher", "name": "SmolLM2-135M", "licence": "Apache-2.0", "source": "package"}
        ],
    },
}
SUMMARIES: dict[str, dict[str, Any]] = {
    "clean": {"rows": 7000, "splits": {"train": 6000, "valid": 400, "test": 600}, "dropped": {"short": 3}},
    "feedback": {"rows": 480, "simulated": 480},
    "evaluate": {"rows": 304},
    "reward": {"accuracy": 0.627, "accuracy_low": 0.6, "accuracy_high": 0.65, "length_rule_accuracy": 0.612}
    | {"length_rule_accuracy_low": 0.59, "length_rule_accuracy_high": 0.63, "lead_over_length_rule": 0.015}
    | {"lead_over_length_rule_low": -0.01, "lead_over_length_rule_high": 0.04},
    "ppo": {"algorithm": "ppo", "kl": 1.71, "alarm": None},
}


def make_part(folder: Path, stage: str, changes: Mapping[str, Any], digests: Mapping[str, str]) -> Part:
    """Write a stage's files, and say how it was made."""
    folder.mkdir(parents=True)
    files = FILES.get(stage, {}) | changes
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    if stage == "reward":
        draw = random.Random(3)
        scores = [{"score": draw.gauss(0, 1), "held_out": index % 5 == 0} for index in range(200)]
        lines = "".join(
            json.dumps({"row": "r", "text": "t", "deviation": None, **one}) + "\n" for one in scores
        )
        (folder / "scores.jsonl").write_text(lines, encoding="utf-8")
    digest = sha256_bytes(canonical_json([stage, json.loads(json.dumps(changes))]))
    ref = ArtifactRef(
        kind=stage,
        key=f"{stage}/{digest}",
        uri=f"file:///store/{stage}",
        sha256=digest,
        schema_version=1,
        parents=tuple(digests[name] for name in READS[stage]),
        summary=SUMMARIES.get(stage, {}),
    )
    place = STAGES.index(stage)
    cost = {"seconds": 10.5 * (place + 1), "kwh": 0.0012 * (place + 1), "peak_memory_mb": 1234.5}
    record = {
        "run_id": f"{place:032x}",
        "flow_run": "earlier" if stage == "clean" else "this",
        "state": "executed",
        "cost": cost | {"energy_source": "estimate", "processor_seconds": 9.0},
        "finished_at": f"2026-11-30T10:{place:02d}:00+00:00",
    }
    return Part(folder, ref, record)


@pytest.fixture
def make_parts(tmp_path: Path) -> Callable[..., dict[str, Part]]:
    """Make a run; `changes` says by stage which files have other content."""

    def make(**changes: Mapping[str, Any]) -> dict[str, Part]:
        parts: dict[str, Part] = {}
        digests: dict[str, str] = {}
        for stage in STAGES:
            part = make_part(tmp_path / "run" / stage, stage, changes.get(stage, {}), digests)
            digests[stage] = part.ref.sha256
            parts["aligned" if stage == "ppo" else stage] = part
        return parts

    return make


@pytest.fixture
def story(make_parts: Callable[..., dict[str, Part]]) -> Story:
    return Story("nutrition", make_parts())


@pytest.fixture(scope="session")
def themes() -> dict[str, Any]:
    """A map of questions."""
    draw = random.Random(5)
    points = [
        {
            "x": draw.gauss(t % 3 - 1, 0.3),
            "y": draw.gauss(t // 3 - 0.5, 0.3),
            "theme": t,
            "judged": i % 3 == 0,
        }
        for t in range(5)
        for i in range(24)
    ]
    names = (
        "vitamin, good, source",
        "energy, meal, portion",
        "which, more, iron",
        "diabetes, suit",
        "open, tell",
    )
    return {"points": points, "themes": [{"name": name} for name in names]}
