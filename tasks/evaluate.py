"""Stage `evaluate`: unrefined, teacher, distilled and aligned models on the same held-out questions."""

from typing import Any

import numpy as np

from configs.schema import EvaluateConfig
from tasks.ml.evaluation import Answers, Contestant, answer, gold_likelihood, response_kl, throughput
from tasks.ml.examination import held_out, perplexity, worked_examples
from tasks.ml.figure_points import figure_points
from tasks.ml.forgetting import answer_bytes, forgetting, nll_per_byte
from tasks.ml.metrics import Interval, Values, bootstrap_mean, win_shares
from tasks.ml.models import load_model, load_tokenizer, parameter_count
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import Row, load_general, load_rows
from tasks.ml.teacher import load_teacher
from tasks.shared.artifacts import canonical_json
from tasks.stage import StageContext

BASELINE = "distilled"
# What a model is held against: all that the teacher knew, or what was left when the student was cut out.
FORGETTING = {"forgetting": "teacher_zero_shot", "forgetting_since_cut": "unrefined"}
WIN_MARGIN = 0.02  # of utility; smaller differences are ties


def run(context: StageContext) -> dict[str, Any]:
    """Write `figures.json` (every figure with its interval) and `answers.json` (answers side by side)."""
    config = context.section(EvaluateConfig, "evaluate")
    rows = held_out(load_rows(context.inputs["clean"] / "rows.jsonl", "test"), config.questions, context.seed)
    contestants = line_up(context, config)
    bar = context.bar("evaluate: answers", len(rows) * len(contestants), "answers")
    answers = {c.name: answer(c, rows, config.max_new_tokens, config.rows, bar) for c in contestants}
    figures = judged_figures(answers, rows, config, context.seed)
    figures += likelihood_figures(contestants, rows, config, context.seed)
    general = load_general(context.inputs["clean"], "valid")
    figures += forgetting_figures(contestants, general, config, context.seed)
    figures += speed_figures(contestants, rows, config, context.seed)
    figures += divergence_figure(contestants, answers, rows, config, context.seed)
    figures += [
        figure("parameters", c.name, Interval(n, n, n, 1), "parameters")
        for c in contestants
        for n in [float(parameter_count(c.model))]
    ]
    (context.out / "figures.json").write_bytes(canonical_json(figures))
    sample = side_by_side(rows, answers, config.samples_shown)
    (context.out / "answers.json").write_bytes(canonical_json(sample))
    context.run.metrics(figure_points(figures))
    context.run.table("figures.json", figures)
    context.run.table("answers.json", sample)
    return {"rows": len(rows), "figures": len(figures)}


def line_up(context: StageContext, config: EvaluateConfig) -> list[Contestant]:
    """The models in the order of the closing table."""
    model, tokenizer = load_teacher(*context.teacher_source)
    teacher = frozen_copy(model, config.precision)
    shots = worked_examples(load_rows(context.inputs["clean"] / "rows.jsonl", "train"), config.shots)
    folders = {
        "unrefined": context.inputs["distill"] / "unrefined",
        "distilled": context.inputs["distill"] / "model",
        "aligned": context.inputs["aligned"] / "model",
    }
    students = {
        name: Contestant(name, frozen_copy(load_model(folder), config.precision), load_tokenizer(folder))
        for name, folder in folders.items()
    }
    return [
        students["unrefined"],
        Contestant("teacher_zero_shot", teacher, tokenizer),
        Contestant("teacher_few_shot", teacher, tokenizer, shots),
        students["distilled"],
        students["aligned"],
    ]


def judged_figures(
    answers: dict[str, Answers], rows: list[Row], config: EvaluateConfig, seed: int
) -> list[dict[str, Any]]:
    """Accuracy, by family too, gold win rate against the distilled model, stop rate and length."""
    figures = []
    baseline, teacher = answers[BASELINE], answers["teacher_zero_shot"]
    for name, own in answers.items():
        wins = win_shares(own.utility, baseline.utility, WIN_MARGIN)
        columns: dict[str, tuple[Values, str]] = {
            "accuracy": (own.correct, "share"),
            "accuracy_gain_over_teacher": (own.correct - teacher.correct, "share"),
            "accuracy_gain_over_distilled": (own.correct - baseline.correct, "share"),
            "gold_win_rate": (wins, "share"),
            "gold_utility": (own.utility, "utility"),
            "stop_rate": (own.stops, "share"),
            "words": (own.words, "words"),
        }
        for task in dict.fromkeys(row.task for row in rows):
            mask = np.array([row.task == task for row in rows])
            columns[f"accuracy_{task}"] = (own.correct[mask], "share")
        figures += [
            figure(metric, name, bootstrap_mean(values, config.resamples, seed), unit)
            for metric, (values, unit) in columns.items()
        ]
    return figures


def likelihood_figures(
    contestants: list[Contestant], rows: list[Row], config: EvaluateConfig, seed: int
) -> list[dict[str, Any]]:
    """Perplexity of the gold answers, per token."""
    figures = []
    for contestant in contestants:
        interval = perplexity(contestant, rows[: config.likelihood_questions], config.resamples, seed)
        figures.append(figure("perplexity", contestant.name, interval, "per token"))
    return figures


def forgetting_figures(
    contestants: list[Contestant], general: list[Row], config: EvaluateConfig, seed: int
) -> list[dict[str, Any]]:
    """How each model takes general instructions, beside the teacher and beside the student before it learnt.

    A prompt with worked examples is left out: it shows the use case.
    """
    if not general:
        return []
    sizes = answer_bytes(general)
    nats = {c.name: gold_likelihood(c, general)[0] for c in contestants if not c.shots}
    levels = {name: nll_per_byte(own, sizes, config.resamples, seed) for name, own in nats.items()}
    rises = {
        (metric, after): forgetting(nats[before], nats[after], sizes, config.resamples, seed)
        for metric, before in FORGETTING.items()
        for after in (BASELINE, "aligned")
    }
    found = [("general_nll_per_byte", name, level) for name, level in levels.items()]
    found += [(metric, name, rise) for (metric, name), rise in rises.items()]
    return [figure(metric, name, interval, "nats per byte") for metric, name, interval in found]


def speed_figures(
    contestants: list[Contestant], rows: list[Row], config: EvaluateConfig, seed: int
) -> list[dict[str, Any]]:
    """Tokens per second side by side, and how many times the teacher's."""
    speeds = throughput(contestants, rows[: config.speed_rows], config.speed_tokens, config.speed_repeats)
    figures = []
    for name, values in speeds.items():
        figures.append(
            figure("tokens_per_second", name, bootstrap_mean(values, config.resamples, seed), "tokens/s")
        )
        ratio = bootstrap_mean(values / speeds["teacher_zero_shot"], config.resamples, seed)
        figures.append(figure("speedup_over_teacher", name, ratio, "times"))
    return figures


def divergence_figure(
    contestants: list[Contestant],
    answers: dict[str, Answers],
    rows: list[Row],
    config: EvaluateConfig,
    seed: int,
) -> list[dict[str, Any]]:
    """How far the aligned model moved from the distilled one, on its own answers."""
    by_name = {contestant.name: contestant for contestant in contestants}
    responses = answers["aligned"].responses
    nats = response_kl(by_name["aligned"].model, by_name[BASELINE], rows, responses)
    return [
        figure(
            "kl_to_distilled", "aligned", bootstrap_mean(nats, config.resamples, seed), "nats per response"
        )
    ]


def figure(metric: str, model: str, interval: Interval, unit: str) -> dict[str, Any]:
    """One line of the closing table."""
    return {
        "metric": metric,
        "model": model,
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "unit": unit,
    }


def side_by_side(rows: list[Row], answers: dict[str, Answers], count: int) -> list[dict[str, Any]]:
    """The first questions with every model's answer and whether it is right."""
    return [
        {
            "task": row.task,
            "context": row.context,
            "question": row.question,
            "gold": row.answer,
            **{name: own.texts[place] for name, own in answers.items()},
            **{f"{name}_correct": own.judgements[place].correct for name, own in answers.items()},
        }
        for place, row in enumerate(rows[:count])
    ]
