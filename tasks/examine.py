"""Stage `examine`: one model on the held-out questions, whatever it was taught by."""

from typing import Any

from configs.schema import EvaluateConfig
from tasks.ml.evaluation import Contestant, answer
from tasks.ml.examination import held_out, perplexity, worked_examples
from tasks.ml.metrics import Interval, bootstrap_mean
from tasks.ml.models import load_model, load_tokenizer, parameter_count
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import load_rows
from tasks.ml.teacher import load_teacher
from tasks.shared.artifacts import canonical_json
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `answers.json`: each question's answer and whether it is right; the summary holds the figures."""
    config = context.section(EvaluateConfig, "evaluate")
    rows = held_out(load_rows(context.inputs["clean"] / "rows.jsonl", "test"), config.questions, context.seed)
    contestant = candidate(context, config)
    bar = context.bar("examine: answers", len(rows), "answers")
    answers = answer(contestant, rows, config.max_new_tokens, config.rows, bar)
    likely = perplexity(contestant, rows[: config.likelihood_questions], config.resamples, context.seed)
    accuracy = bootstrap_mean(answers.correct, config.resamples, context.seed)
    table = [
        {"id": row.id, "answer": text, "correct": judgement.correct}
        for row, text, judgement in zip(rows, answers.texts, answers.judgements, strict=True)
    ]
    (context.out / "answers.json").write_bytes(canonical_json(table))
    context.run.metrics({"accuracy": accuracy.value, "perplexity": likely.value})
    return {
        "rows": len(rows),
        "accuracy": as_list(accuracy),
        "perplexity": as_list(likely),
        "parameters": parameter_count(contestant.model),
    }


def candidate(context: StageContext, config: EvaluateConfig) -> Contestant:
    """The model in the artifact, or the teacher below `evaluate.shots` worked examples if there is none."""
    if "model" in context.inputs:
        folder = context.inputs["model"] / "model"
        model, tokenizer = load_model(folder), load_tokenizer(folder)
        return Contestant("model", frozen_copy(model, config.precision), tokenizer)
    model, tokenizer = load_teacher(*context.teacher_source)
    shots = worked_examples(load_rows(context.inputs["clean"] / "rows.jsonl", "train"), config.shots)
    return Contestant("teacher", frozen_copy(model, config.precision), tokenizer, shots)


def as_list(interval: Interval) -> list[float]:
    """Value, low and high."""
    return [interval.value, interval.low, interval.high]
