"""Stage `assess`: can the model do harm, is it fair, what has it memorised, how easily is it thrown?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from configs.probes import read_probes
from configs.scenarios import read_scenarios
from configs.schema import DataConfig, TeacherConfig
from configs.schema_assess import AssessConfig
from configs.schema_student import StudentConfig
from tasks.ml.batteries import (
    Panel,
    check_answers,
    probe_advice,
    probe_bias,
    probe_canaries,
    probe_refusals,
    probe_robustness,
    probe_stereotypes,
)
from tasks.ml.canaries import CANARY
from tasks.ml.evaluation import Contestant
from tasks.ml.figure_points import figure_points
from tasks.ml.findings import Findings
from tasks.ml.footprint import grid
from tasks.ml.impact import assess_impact
from tasks.ml.licences import licence_of
from tasks.ml.models import load_model, load_tokenizer
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import load_rows
from tasks.ml.seeding import stable_fraction
from tasks.ml.stereotypes import ANSWERS, DoubtfulQuestion, doubtful_questions, in_doubt
from tasks.ml.teacher import load_teacher
from tasks.ml.toxicity import classified_toxic, read_toxic_words
from tasks.shared.artifacts import canonical_json
from tasks.shared.errors import DataError, Problem
from tasks.shared.sources import BadRow, read_rows, set_aside
from tasks.stage import StageContext

DEPLOYED = "aligned"  # the model that an impact assessment is of
LABELS = ("safe", "unsafe")


def run(context: StageContext) -> dict[str, Any]:
    """Write figures, flags, examples, the impact assessment, the electricity's intensity and licences."""
    config = context.section(AssessConfig, "assess")
    found = Findings(config.resamples, context.seed)
    bad = probe(context, config, found)
    regions = context.section(DataConfig, "data").phone_regions
    check_answers(found, partial(is_toxic, config), regions, config)
    if bad:
        set_aside(bad, context.out / "set_aside.jsonl")
    flags = [flag.as_dict() for flag in found.flags]
    measured = json.loads((context.inputs["evaluate"] / "figures.json").read_text(encoding="utf-8"))
    scenarios = read_scenarios(Path(config.scenarios))
    impact = assess_impact(scenarios, [*measured, *found.figures], found.flagged(), DEPLOYED)
    tables = {"figures": found.figures, "flags": flags, "examples": sorted_examples(found)}
    tables |= {"impact": impact, "licences": licences(context, config)}
    for name, rows in tables.items():
        (context.out / f"{name}.json").write_bytes(canonical_json(rows))
    footprint = describe_grid(config.country)
    (context.out / "footprint.json").write_bytes(canonical_json(footprint))
    record(context, tables, footprint)
    return {
        "figures": len(found.figures),
        "flags": sum(flag.flagged for flag in found.flags),
        "malformed": len(bad),
    }


def probe(context: StageContext, config: AssessConfig, found: Findings) -> list[BadRow]:
    """Put every battery to the models; gives malformed rows of files."""
    probes = read_probes(Path(config.probes))
    rows = load_rows(context.inputs["clean"] / "rows.jsonl")
    test = [row for row in rows if row.split == "test"]
    files = read_files(context, config)
    teacher, students = line_up(context, config)
    everyone = Panel((teacher, *students), config, context.seed, context.bar)
    own = Panel(students, config, context.seed, context.bar)
    probe_advice(everyone, probes, found)
    probe_refusals(everyone, probes.refuse, probes.answer, found)
    # Of what takes long, and of what the teacher never saw, the students alone are asked.
    probe_bias(own, probes, test, found)
    probe_robustness(own, test, found)
    probe_canaries(own, [row for row in rows if row.task == CANARY], found)
    if files.harmless or files.harmful:
        probe_refusals(everyone, files.harmful, files.harmless, found, "xstest_")
    probe_stereotypes(everyone, files.pairs, files.doubtful, found)
    return files.bad


def line_up(context: StageContext, config: AssessConfig) -> tuple[Contestant, tuple[Contestant, ...]]:
    """The teacher, and the distilled and the aligned student."""
    model, tokenizer = load_teacher(*context.teacher_source)
    folders = {
        name: context.inputs[stage] / "model"
        for name, stage in (("distilled", "distill"), (DEPLOYED, "aligned"))
    }
    students = tuple(
        Contestant(name, frozen_copy(load_model(folder), config.precision), load_tokenizer(folder))
        for name, folder in folders.items()
    )
    return Contestant("teacher_zero_shot", frozen_copy(model, config.precision), tokenizer), students


@dataclass
class Files:
    """What is asked out of files of others: the rows used, and those set aside."""

    harmless: list[str] = field(default_factory=list)
    harmful: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    doubtful: list[DoubtfulQuestion] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)


def read_files(context: StageContext, config: AssessConfig) -> Files:
    """Read the files that the section names.

    Raises:
        DataError: A file cannot be read, or has other labels.
    """
    files = Files()

    def read(source: str, **columns: str) -> list[dict[str, str]]:
        found = read_rows(source, columns, context.cache, (), context.data_endpoint)
        files.bad += found.bad
        return found.rows

    if config.xstest:
        prompts = read(config.xstest, prompt="prompt", label="label")
        if other := sorted({row["label"] for row in prompts} - set(LABELS)):
            got, wanted = f"label {', '.join(other)}", "labels `safe` and `unsafe`"
            raise DataError(Problem(config.xstest, got, wanted, "Mend the labels."))
        chosen = drawn(prompts, config.file_rows, context.seed)
        files.harmless, files.harmful = (
            [row["prompt"] for row in chosen if row["label"] == label] for label in LABELS
        )
    if config.stereotypes:
        sentences = read(config.stereotypes, more="sent_more", less="sent_less")
        files.pairs = [(row["more"], row["less"]) for row in drawn(sentences, config.file_rows, context.seed)]
    if config.doubtful:
        names = {name: name for name in ("context", "question", *ANSWERS)}
        rows = read(config.doubtful, condition="context_condition", **names)
        files.doubtful = doubtful_questions(drawn(in_doubt(rows), config.file_rows, context.seed))
    return files


def drawn(rows: Sequence[dict[str, str]], count: int, seed: int) -> list[dict[str, str]]:
    """At most `count` rows, by a draw that keeps the same rows when others come or go; order is kept."""
    places = sorted(range(len(rows)), key=lambda place: stable_fraction("file", seed, *rows[place].values()))
    return [rows[place] for place in sorted(places[:count])]


def is_toxic(config: AssessConfig, texts: Sequence[str]) -> list[bool]:
    """Which texts hold a word of the list, or are toxic to the classifier."""
    words = read_toxic_words(Path(config.toxic_words))
    says = [words.is_toxic(text) for text in texts]
    if config.toxicity_classifier:
        also = classified_toxic(texts, Path(config.toxicity_classifier), config.toxic_label)
        says = [one or other for one, other in zip(says, also, strict=True)]
    return says


def sorted_examples(found: Findings) -> list[dict[str, Any]]:
    """Examples, those with more objections first."""
    return sorted(found.examples, key=lambda example: -len(example["flagged"]))


def describe_grid(country: str) -> dict[str, Any]:
    """How much CO2 a kWh is. What stages cost stands in the store's records, which a stage does not see."""
    own = grid(country)
    return {
        "stages": [],
        "country": own.country,
        "country_name": own.name,
        "intensity_g_per_kwh": own.grams_per_kwh,
        "year": own.year,
        "source": "codecarbon, global_energy_mix.json",
    }


def licences(context: StageContext, config: AssessConfig) -> list[dict[str, str]]:
    """The licence of every model and dataset that the run used."""
    data, student = context.section(DataConfig, "data"), context.section(StudentConfig, "student")
    used = [
        ("teacher", context.section(TeacherConfig, "teacher").source),
        ("student", student.source),
        ("data", data.source),
        ("general instructions", data.general),
        ("refusal prompts", config.xstest),
        ("sentence pairs", config.stereotypes),
        ("questions in doubt", config.doubtful),
        ("toxicity classifier", config.toxicity_classifier),
    ]
    rows = []
    for what, name in used:
        if name:
            licence, source = licence_of(name)
            rows.append({"what": what, "name": name, "licence": licence, "source": source})
    return rows


def record(context: StageContext, tables: dict[str, Any], footprint: dict[str, Any]) -> None:
    """Put everything on the stage's run."""
    context.run.metrics(figure_points(tables["figures"]))
    context.run.metrics({f"flagged/{f['check']}/{f['model']}": float(f["flagged"]) for f in tables["flags"]})
    context.run.metrics({"footprint/intensity_g_per_kwh": footprint["intensity_g_per_kwh"]})
    for name in ("figures", "flags", "licences"):
        context.run.table(f"{name}.json", tables[name])
    for name in ("examples", "impact", "footprint"):
        context.run.file(context.out / f"{name}.json", "assess")
