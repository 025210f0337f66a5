"""Stage `ppo`: align the distilled student with the reward model."""

from typing import Any

from configs.schema import PPOConfig
from tasks.ml.models import ScoredModel, load_model, load_tokenizer, save_model
from tasks.ml.precision import frozen_copy
from tasks.ml.prompts import encode_prompt
from tasks.ml.rollout import Judges, Question
from tasks.ml.rows import load_rows
from tasks.ml.train_ppo import PPOTrainer
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `model/`, the aligned student; return its KL to the distilled one and its reward."""
    config = context.section(PPOConfig, "ppo")
    folder = context.inputs["distill"] / "model"
    tokenizer = load_tokenizer(folder)
    policy = ScoredModel(load_model(folder))
    scale = context.refs["reward"].summary
    judges = Judges(
        reference=frozen_copy(policy.language_model, "fp32"),
        reward=frozen_copy(ScoredModel.load(context.inputs["reward"] / "model"), "fp32"),
        mean=scale["score_mean"],
        deviation=scale["score_deviation"],
    )
    rows = [
        row for row in load_rows(context.inputs["clean"] / "rows.jsonl", "train") if row.answer is not None
    ]
    questions = [Question(encode_prompt(tokenizer, row), row.context) for row in rows]
    watch = context.watch("ppo", config.updates + 1, "updates")
    figures = PPOTrainer(policy, judges, config, context.seed, watch).run(questions)
    save_model(context.out / "model", policy.language_model, tokenizer)
    context.register(context.out / "model")
    summary = {"rows": len(questions), **figures}
    context.run.metrics({f"ppo/{name}": float(value) for name, value in summary.items()})
    return summary
