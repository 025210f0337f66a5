"""Which students learn best from equal tokens: random or pruned, which layers, with or without the teacher.

Every arm learns the same questions in the same steps from three seeds (of the random weights and of the order
of steps) and answers the same held-out questions. Differences are paired by question and averaged over seeds.
What was measured already is not measured again: one line a run is kept in `--out`. The last line on stdout is
the result, one JSON object.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import note, print_result
from configs.load import load_platform, load_run_config
from configs.schema import RunConfig
from configs.section import Precision
from flows.external import external_digests
from flows.graph import walk
from flows.places import make_place
from flows.run import resolve
from tasks.ml.batching import draw_whole_groups, group_examples
from tasks.ml.evaluation import Contestant, answer, gold_likelihood
from tasks.ml.metrics import bootstrap_mean, bootstrap_ratio
from tasks.ml.models import parameter_count
from tasks.ml.precision import frozen_copy
from tasks.ml.progress import NoBar
from tasks.ml.prompts import encode
from tasks.ml.rows import Row, load_rows
from tasks.ml.seeding import random_for
from tasks.ml.student import make_student
from tasks.ml.teacher import load_teacher
from tasks.ml.teacher_signal import TeacherSignal
from tasks.ml.train_distill import train_distill
from tasks.ml.trainer import Watch
from tasks.ml.vocabulary import domain_texts
from tasks.shared.artifacts import canonical_json, sha256_bytes
from tasks.shared.caching import library_versions, source_state
from tasks.shared.env import export, laptop_settings, read_env
from tasks.shared.hardware import faster_precision, keep_freed_memory
from tasks.stage import execute

# An arm is what differs from the default student taught with the default loss.
ARMS: dict[str, tuple[str, ...]] = {
    "random": ("student.kind=random",),
    "even": ("student.layer_choice=even",),
    "influence": (),
    "similarity": ("student.layer_choice=similarity",),
    "influence, gold alone": ("distill.kd_weight=0",),
    "16 narrower layers": (
        "student.layers=16",
        "student.layer_choice=similarity",
        "student.ffn_channels=1040",
    ),
}
# better arm, arm that it is held against
COMPARISONS = (
    ("influence", "random"),
    ("influence", "even"),
    ("influence", "similarity"),
    ("influence", "influence, gold alone"),
    ("16 narrower layers", "influence"),
)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.students", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".retort/benchmarks/students.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=150, help="held-out questions")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("overrides", nargs="*", help="changes to the default configuration of all arms")
    return parser.parse_args(arguments)


def prepare(config: RunConfig) -> tuple[dict[str, Path], Path]:
    """Folders of the stages that all arms share, and the folder of converted models."""
    env = read_env()
    export(laptop_settings(env.home))
    place = make_place(load_platform("embedded"), env, None, True)
    external = external_digests(config, place)
    refs = walk(config, external, lambda spec: execute(spec, place).ref, until="score")
    store = place.store()
    return {name: place.fetch(store, ref) for name, ref in refs.items()}, env.home / "cache" / "models"


def measure_arm(
    config: RunConfig, folders: dict[str, Path], models: Path, seed: int, questions: int
) -> dict[str, Any]:
    """Make, teach and examine one student."""
    rows = load_rows(folders["label"] / "rows.jsonl")
    teacher, full = load_teacher(config.teacher.source, config.teacher.revision, models)
    lexicon = (folders["clean"] / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    texts = domain_texts(full, load_rows(folders["clean"] / "rows.jsonl") + rows, lexicon)
    student = make_student(config.student, teacher, full, rows, texts, seed, models)
    del teacher
    signal = TeacherSignal.load(folders["score"] / "signal")
    examples = [encode(student.tokenizer, row) for row in rows]
    groups = group_examples(examples, [row.context for row in rows], config.distill.row_tokens)
    assert student.tokens.student_id is not None
    started = time.perf_counter()
    losses: list[float] = []
    watch = Watch(log=lambda points, step: losses.append(points["gold_nll"]))
    epochs = [groups] * config.distill.epochs
    train_distill(student.model, epochs, [], signal, student.tokens.student_id, config.distill, seed, watch)
    seconds = time.perf_counter() - started
    contestant = Contestant(
        "student", frozen_copy(student.model, config.distill.precision), student.tokenizer
    )
    held_out = examined(folders["clean"], questions)
    answers = answer(contestant, held_out, config.evaluate.max_new_tokens, config.evaluate.rows, NoBar())
    nats, tokens = gold_likelihood(contestant, held_out)
    return {
        "parameters": parameter_count(student.model),
        "tokens": sum(len(group) for group in groups) * config.distill.epochs,
        "seconds": seconds,
        "train_nll": float(np.mean(losses[-20:])),
        "correct": answers.correct.tolist(),
        "nats": nats.tolist(),
        "answer_tokens": tokens.tolist(),
    }


def examined(folder: Path, questions: int) -> list[Row]:
    """Held-out questions with a gold answer, whole sheets together."""
    rows = [row for row in load_rows(folder / "rows.jsonl", "test") if row.answer is not None]
    draw = random_for("students benchmark")
    return [rows[i] for i in draw_whole_groups([row.context for row in rows], questions, draw)]


def compare(better: Sequence[dict[str, Any]], worse: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Paired differences, averaged over seeds: accuracy in points, likelihood in nats a token."""
    gain = np.mean([np.subtract(a["correct"], b["correct"]) for a, b in zip(better, worse, strict=True)], 0)
    saved = np.mean([np.subtract(b["nats"], a["nats"]) for a, b in zip(better, worse, strict=True)], 0)
    accuracy = bootstrap_mean(100 * gain, 10_000, 0)
    nats = bootstrap_ratio(saved, np.array(better[0]["answer_tokens"]), 10_000, 0)
    return {
        "accuracy_gain": [accuracy.value, accuracy.low, accuracy.high],
        "nats_saved": [nats.value, nats.low, nats.high],
        "by_seed": [
            float(np.mean(a["correct"]) - np.mean(b["correct"])) for a, b in zip(better, worse, strict=True)
        ],
    }


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the seeds of an arm came to."""
    tokens = np.array(runs[0]["answer_tokens"])
    accuracy = bootstrap_mean(100 * np.mean([run["correct"] for run in runs], 0), 10_000, 0)
    nll = bootstrap_ratio(np.mean([run["nats"] for run in runs], 0), tokens, 10_000, 0)
    return {
        "accuracy": [accuracy.value, accuracy.low, accuracy.high],
        "nats_per_token": [nll.value, nll.low, nll.high],
        "parameters": runs[0]["parameters"],
        "tokens": runs[0]["tokens"],
        "seconds": float(np.mean([run["seconds"] for run in runs])),
    }


def question_digest(arm: str, options: argparse.Namespace, precision: Precision) -> str:
    """What a run's figures depend on, beside the seed: an older line under another digest is not believed."""
    config = resolve(load_run_config(None, [*options.overrides, *ARMS[arm]]), precision)
    decided = {
        "config": config.model_dump(mode="json"),
        "questions": options.questions,
        "source": source_state(),
        "libraries": library_versions(),
    }
    return sha256_bytes(canonical_json(decided))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run what was not run yet, and compare."""
    keep_freed_memory()
    precision = faster_precision(read_env().home / "cache" / "precision.json")
    base = resolve(load_run_config(None, options.overrides), precision)
    folders, models = prepare(base)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    known = (
        [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    )
    done = {(run["arm"], run["seed"], run["question"]): run for run in known}
    questions = {arm: question_digest(arm, options, precision) for arm in options.arms}
    for seed in range(options.seeds):
        for arm in options.arms:
            place = (arm, seed, questions[arm])
            if place in done:
                continue
            note(f"{arm}, seed {seed}")
            config = resolve(load_run_config(None, [*options.overrides, *ARMS[arm]]), precision)
            run = measure_arm(config, folders, models, seed, options.questions)
            done[place] = {"arm": arm, "seed": seed, "question": questions[arm], **run}
            with options.out.open("a") as file:
                file.write(json.dumps(done[place]) + "\n")
            note(f"  accuracy {np.mean(run['correct']):.3f}, {run['seconds']:.0f} s")
    arms = {arm: [done[arm, seed, questions[arm]] for seed in range(options.seeds)] for arm in options.arms}
    return {
        "suite": "students",
        "arms": {arm: summary(runs) for arm, runs in arms.items()},
        "comparisons": {
            f"{better} - {worse}": compare(arms[better], arms[worse])
            for better, worse in COMPARISONS
            if better in arms and worse in arms
        },
    }


if __name__ == "__main__":
    print_result(measure, parse())
