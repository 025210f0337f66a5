"""Stage `examine`: one model on the held-out questions, whatever it was taught by."""

from typing import Any

from configs.schema_evaluate import EvaluateConfig
from tasks.ml.evaluation import Contestant, answer, gold_likelihood
from tasks.ml.examination import held_out, perplexity, worked_examples
from tasks.ml.examined import Examined, examined_answers
from tasks.ml.forgetting import answer_bytes
from tasks.ml.metrics import Interval, bootstrap_mean
from tasks.ml.models import load_model, load_tokenizer, parameter_count
from tasks.ml.precision import frozen_copy
from tasks.ml.rows import load_general, load_rows
from tasks.ml.teacher import load_teacher
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `examined.jsonl` (each answer, judged) and `general.json` (likelihoods of general answers).

    The summary holds the figures.
    """
    config = context.section(EvaluateConfig, "evaluate")
    rows = held_out(load_rows(context.inputs["clean"] / "rows.jsonl", "test"), config.questions, context.seed)
    contestant = candidate(context, config)
    bar = context.bar("examine: answers", len(rows), "answers")
    answers = answer(contestant, rows, config.max_new_tokens, config.rows, bar)
    likely = perplexity(contestant, rows[: config.likelihood_questions], config.resamples, context.seed)
    accuracy = bootstrap_mean(answers.correct, config.resamples, context.seed)
    utility = bootstrap_mean(answers.utility, config.resamples, context.seed)
    # Worked examples show the use case: what a prompt with them costs says nothing of general ability.
    general = [] if contestant.shots else load_general(context.inputs["clean"], "valid")
    nats, _ = gold_likelihood(contestant, general)
    Examined(examined_answers(rows, answers), nats, answer_bytes(general)).save(context.out)
    context.run.metrics({"accuracy": accuracy.value, "utility": utility.value, "perplexity": likely.value})
    return {
        "rows": len(rows),
        "accuracy": as_list(accuracy),
        "utility": as_list(utility),
        "perplexity": as_list(likely),
        "parameters": parameter_count(contestant.model),
    }


def candidate(context: StageContext, config: EvaluateConfig) -> Contestant:
    """The model to examine: an artifact's, the student before it learnt, or the teacher if neither is given.

    The teacher is asked below `evaluate.shots` worked examples.
    """
    for name, part in (("model", "model"), ("distill", "unrefined")):
        if name in context.inputs:
            folder = context.inputs[name] / part
            model, tokenizer = load_model(folder), load_tokenizer(folder)
            return Contestant(part, frozen_copy(model, config.precision), tokenizer)
    model, tokenizer = load_teacher(*context.teacher_source)
    shots = worked_examples(load_rows(context.inputs["clean"] / "rows.jsonl", "train"), config.shots)
    return Contestant("teacher", frozen_copy(model, config.precision), tokenizer, shots)


def as_list(interval: Interval) -> list[float]:
    """Value, low and high."""
    return [interval.value, interval.low, interval.high]
