"""Stage `evaluate`: unrefined, teacher, distilled and aligned models on the same held-out questions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from configs.principles import read_principles
from configs.schema_evaluate import EvaluateConfig
from tasks.ai_endpoint import endpoint_annotator
from tasks.feedback.ai_annotator import local_annotator
from tasks.feedback.win_judge import Judged, judge_wins
from tasks.ml.answer_columns import column, wins
from tasks.ml.answer_rewards import answer_rewards
from tasks.ml.columns import Column
from tasks.ml.comparing import compare
from tasks.ml.evaluation import Answers, Contestant, answer
from tasks.ml.exam import ALIGNED, BASELINE, TEACHER, UNREFINED, Exam, general_figures
from tasks.ml.examination import held_out, worked_examples
from tasks.ml.figure_points import comparison_points, figure_points, slice_points
from tasks.ml.figures import (
    Figure,
    figure,
    sample_figures,
    single,
)
from tasks.ml.harness import check_harness, run_harness
from tasks.ml.metrics import Values, bootstrap_mean
from tasks.ml.models import ScoredModel, load_model, load_tokenizer, parameter_count
from tasks.ml.paired import number_contexts
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import Row, load_general, load_rows
from tasks.ml.speed import warm_up
from tasks.ml.teacher import load_teacher
from tasks.shared.artifacts import canonical_json
from tasks.shared.cost import Cost, metered, resident_memory_mb
from tasks.shared.hardware import release_freed_memory
from tasks.stage import StageContext

HARNESS = (TEACHER, BASELINE, ALIGNED)
# Of all others a part of the questions shows what they are worth.
FULLY_ASKED = (BASELINE, ALIGNED)
WATT_HOURS, THOUSAND = 1000, 1000


def run(context: StageContext) -> dict[str, Any]:
    """Write what was measured, with intervals, and who is better where that can be told.

    `figures.json`, `comparisons.json`, `slices.json`, `calibration.json`, `answers.json` (side by side), and
    `columns.json`: all that was measured question by question, from which runs can be compared.
    """
    config = context.section(EvaluateConfig, "evaluate")
    check_harness(config.harness)
    exam, figures = sit(context, config)
    likelihoods, latencies, bootstrap = exam.likelihoods(), exam.latencies(), exam.bootstrap
    columns = [*exam.columns(), *likelihoods.columns(exam.contexts, UNREFINED), latencies]
    columns += reward_columns(context, exam)
    judged = judge(context, exam)
    if judged is not None and judged.readable.any():
        columns.append(judged.column(BASELINE, len(exam.rows)))
        figures += flip_figures(judged, config.resamples, context.seed)
    sample = exam.sample(columns)
    figures += sample_figures(sample, bootstrap, BASELINE)
    figures += likelihoods.perplexity_figures(bootstrap)
    figures += [*exam.speed_figures(latencies), exam.divergence_figure(bootstrap)]
    general = load_general(context.inputs["clean"], "valid")
    beside, forgotten = general_figures(exam.contestants, general, config, context.seed)
    figures += [*forgotten, *harness_figures(exam)]
    samples = [sample, *beside]
    comparisons = compare(samples, config.flips, context.seed)
    files = {
        "figures": figures,
        "comparisons": [one.as_dict() for one in comparisons],
        "slices": exam.slices(sample, bootstrap),
        "calibration": exam.calibration(),
        "answers": exam.side_by_side(),
        "columns": [one.as_dict() for one in samples],
    }
    record(context, files)
    unreadable = 0 if judged is None else int((1 - judged.readable).sum())
    return {
        "rows": len(exam.rows),
        "figures": len(figures),
        "comparisons": len(comparisons),
        "winners": sum(one.winner is not None for one in comparisons),
        **({"judge_unreadable": unreadable} if judged else {}),
    }


def record(context: StageContext, files: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write the files, and tell the tracker the same."""
    for name, content in files.items():
        path = context.out / f"{name}.json"
        path.write_bytes(canonical_json(content))
        if name in ("calibration", "columns"):
            context.run.file(path, "evaluation")
        else:
            context.run.table(f"{name}.json", content)
    context.run.metrics(
        figure_points(files["figures"])
        | comparison_points(files["comparisons"])
        | slice_points(files["slices"])
    )


def sit(context: StageContext, config: EvaluateConfig) -> tuple[Exam, list[Figure]]:
    """Let every model answer the held-out questions; and what that costs, measured once."""
    rows, beside = held_out_rows(context, config)
    contestants = line_up(context, config)
    asked = {one.name: rows if one.name in FULLY_ASKED else rows[:beside] for one in contestants}
    bar = context.bar("evaluate: answers", sum(map(len, asked.values())), "answers")
    answers: dict[str, Answers] = {}
    figures: list[Figure] = []
    for one in contestants:
        warm_up(one, rows[0])
        release_freed_memory()
        before = resident_memory_mb()
        with metered() as spent:
            answers[one.name] = answer(one, asked[one.name], config.max_new_tokens, config.rows, bar)
            cost = spent()
        figures += cost_figures(one, cost, before, len(asked[one.name]))
    contexts = number_contexts([row.context for row in rows])
    return Exam(config, rows, contexts, contestants, answers, context.seed), figures


def held_out_rows(context: StageContext, config: EvaluateConfig) -> tuple[list[Row], int]:
    """The held-out questions, and how many of them, which come first, all models are asked."""
    known = load_rows(context.inputs["clean"] / "rows.jsonl", "test")
    rows = held_out(known, config.questions, context.seed)
    first = held_out(rows, config.reference_questions, context.seed)
    names = {row.id for row in first}
    return [*first, *(row for row in rows if row.id not in names)], len(first)


def cost_figures(contestant: Contestant, cost: Cost, before: float | None, answers: int) -> Iterator[Figure]:
    """Parameters, energy, and memory: the weights, and by how much the process grew while it answered.

    Args:
        contestant: The model.
        cost: Of its answers.
        before: Resident memory of the process before, MB; None where the system does not say.
        answers: How many it gave.
    """
    name, model = contestant.name, contestant.model
    yield single("parameters", name, float(parameter_count(model)), "parameters")
    energy = cost.kwh * WATT_HOURS / answers * THOUSAND
    yield single("energy", name, energy, "Wh per 1,000 answers")
    if before is not None:
        weights = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters()) / 1e6
        grown = max(0.0, cost.peak_memory_mb - before)
        yield single("inference_memory", name, weights + grown, "MB")


def line_up(context: StageContext, config: EvaluateConfig) -> list[Contestant]:
    """The models in the order of the closing table."""
    model, tokenizer = load_teacher(*context.teacher_source)
    teacher = frozen_copy(model, config.precision)
    shots = worked_examples(load_rows(context.inputs["clean"] / "rows.jsonl", "train"), config.shots)
    folders = {
        UNREFINED: context.inputs["distill"] / "unrefined",
        BASELINE: context.inputs["distill"] / "model",
        ALIGNED: context.inputs["aligned"] / "model",
    }
    students = {
        name: Contestant(name, frozen_copy(load_model(folder), config.precision), load_tokenizer(folder))
        for name, folder in folders.items()
    }
    return [
        students[UNREFINED],
        Contestant(TEACHER, teacher, tokenizer),
        Contestant("teacher_few_shot", teacher, tokenizer, shots),
        students[BASELINE],
        students[ALIGNED],
    ]


def reward_columns(context: StageContext, exam: Exam) -> Iterator[Column]:
    """What this run's reward model says, in its standard deviations; nothing where there is none.

    Answers that seem closer than the reward model's threshold tie.
    """
    if "reward" not in context.inputs:
        return
    folder, scale = context.inputs["reward"] / "model", context.refs["reward"].summary
    model = frozen_copy(ScoredModel.load(folder), exam.config.precision)
    tokenizer = load_tokenizer(folder)
    mean, deviation = scale["score_mean"], scale["score_deviation"]
    rewards: dict[str, Values] = {}
    for name, own in exam.answers.items():
        rows = exam.rows[: len(own.texts)]
        scores = answer_rewards(model, tokenizer, rows, own, exam.config.precision)
        rewards[name] = (scores - mean) / deviation
    yield column("reward", "standard deviations", "higher", rewards)
    yield wins("reward_win_rate", rewards, scale.get("tie_threshold", 0.0) / deviation)


def judge(context: StageContext, exam: Exam) -> Judged | None:
    """What a language model says of the answers to the first questions; None where it is not asked."""
    config = exam.config.judge
    rows = exam.rows[: config.questions]
    if not rows:
        return None
    bar = context.bar("evaluate: ask the judge", 2 * len(rows) * (len(exam.answers) - 1), "replies")
    if config.endpoint is not None:
        asked = endpoint_annotator(config, context.records, bar)
    else:
        asked = local_annotator(config, context.teacher_source, context.external["teacher"], bar)
    return judge_wins(asked.judge, rows, exam.answers, BASELINE, read_principles(Path(config.principles)))


def flip_figures(judged: Judged, resamples: int, seed: int) -> Iterator[Figure]:
    """How often the judge changed its verdict when the two answers changed places."""
    for name, flips in judged.flips.items():
        yield figure("judge_order_flips", name, bootstrap_mean(flips, resamples, seed), "share")


def harness_figures(exam: Exam) -> Iterator[Figure]:
    """What lm-evaluation-harness says of the tasks that the configuration names."""
    contestants = {name: exam.named(name) for name in HARNESS}
    for one in run_harness(contestants, exam.config.harness, exam.seed):
        yield figure(one.metric, one.model, one.interval, one.unit)
