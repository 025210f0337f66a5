"""Stage `dpo`: align the distilled student with the rankings themselves, without a reward model."""

from typing import Any

from configs.schema_dpo import DPOConfig
from tasks.feedback.events import load_events
from tasks.feedback.pairs import majority_pairs
from tasks.feedback.shown import FEWEST_PAIRS, as_preferences, distinct_answers, encode_shown
from tasks.ml.batching import group_examples, plan_epochs
from tasks.ml.models import load_model, load_tokenizer, save_model, trained_parameters
from tasks.ml.preferences import with_pairs
from tasks.ml.reward_loss import bradley_terry
from tasks.ml.rows import load_rows
from tasks.ml.train_dpo import all_log_probs, reward_figures, train_dpo
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `model/`, the aligned student; return what it made of the preferences that it learnt from."""
    config = context.section(DPOConfig, "dpo")
    events = load_events(context.inputs["feedback"] / "events.jsonl")
    rows = {row.id: row for row in load_rows(context.inputs["clean"] / "rows.jsonl")}
    folder = context.inputs["distill"] / "model"
    tokenizer, model = load_tokenizer(folder), load_model(folder)
    answers, stops = distinct_answers(events)
    pairs = as_preferences(majority_pairs(events), answers)
    if len(pairs) < FEWEST_PAIRS:
        raise StageError(
            Problem(
                "feedback",
                f"{len(pairs)} preferences to learn from",
                f"at least {FEWEST_PAIRS}",
                "Collect more feedback, or raise `feedback.prompts` or `feedback.temperature`.",
            )
        )
    examples = [encode_shown(tokenizer, rows[row], text, stops[row, text]) for row, text in answers]
    groups = group_examples(examples, [rows[row].context for row, _ in answers], config.row_tokens)
    groups = with_pairs(groups, pairs)
    reference = all_log_probs(model, groups, len(answers), config)
    plan = plan_epochs([groups] * config.epochs, config.token_budget, context.seed)
    watch = context.watch("dpo", len(plan))
    train_dpo(model, reference, groups, pairs, config, context.seed, watch)
    trained = trained_parameters(model)
    save_model(context.out / "model", model, tokenizer)
    rewards = config.beta * (all_log_probs(model, groups, len(answers), config) - reference)
    learnt = pairs.within(~rewards.isnan())
    loss = bradley_terry(rewards[learnt.chosen], rewards[learnt.rejected], learnt.votes)
    figures = {"loss": loss.item(), **reward_figures(rewards, learnt)}
    context.run.metrics({f"dpo/{name}": value for name, value in figures.items()})
    return {"rows": len(learnt), "trained_parameters": trained, **figures}
