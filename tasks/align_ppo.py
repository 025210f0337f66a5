"""Stage `ppo`: align the distilled student with the reward model."""

from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from configs.schema_ppo import PPOConfig
from tasks.ml.card_files import PAGE, headline, load_card
from tasks.ml.decode import stopped
from tasks.ml.models import ScoredModel, load_model, load_tokenizer, save_model, trained_parameters
from tasks.ml.policy import Policy
from tasks.ml.precision import frozen_copy
from tasks.ml.prompts import decode_answer, encode_prompt
from tasks.ml.rollout import Judges, Question
from tasks.ml.rows import Row, load_rows
from tasks.ml.rubric import judge
from tasks.ml.train_ppo import Outcome, PPOTrainer
from tasks.shared.errors import Problem, StageError
from tasks.stage import StageContext


def run(context: StageContext) -> dict[str, Any]:
    """Write `model/`, the aligned student; return its KL to the distilled one, its reward, and any alarm."""
    config = context.section(PPOConfig, "ppo")
    heed_card(context, config)
    folder = context.inputs["distill"] / "model"
    tokenizer = load_tokenizer(folder)
    rows = [
        row for row in load_rows(context.inputs["clean"] / "rows.jsonl", "train") if row.answer is not None
    ]
    questions = [Question(encode_prompt(tokenizer, row), row.context) for row in rows]
    scale = context.refs["reward"].summary
    judges = Judges(
        reward=frozen_copy(ScoredModel.load(context.inputs["reward"] / "model"), "fp32"),
        mean=scale["score_mean"],
        deviation=scale["score_deviation"],
        gold=_rubric(tokenizer, rows, questions),
    )
    model, outcome = _align(context, config, load_model(folder), tokenizer, judges, questions)
    save_model(context.out / "model", model, tokenizer)
    context.register(context.out / "model")
    context.run.metrics({f"ppo/{name}": float(value) for name, value in outcome.figures.items()})
    return {
        "rows": len(questions),
        "algorithm": config.algorithm,
        **outcome.figures,
        "alarm": outcome.alarm,
    }


def heed_card(context: StageContext, config: PPOConfig) -> None:
    """Refuse a reward model whose card does not say go, or say loudly that PPO goes on with it.

    Raises:
        StageError: Naming every reason.
    """
    folder = context.inputs["reward"]
    verdict, _ = load_card(folder)
    if verdict.decision == "go":
        return
    problem = Problem(
        "reward model",
        f"a card that says {headline(verdict)}",
        "one that says go, since PPO learns whatever the reward model pays for",
        f"{verdict.advice} The card: {folder / PAGE}. To go on all the same: `ppo.reward_gate=warn`.",
    )
    if config.reward_gate == "stop":
        raise StageError([*verdict.reasons, problem])
    context.bars.say(f"WARNING: PPO learns from a reward model whose card says {headline(verdict)}")
    for reason in verdict.reasons:
        context.bars.say(f"WARNING: {reason}")


def _align(
    context: StageContext,
    config: PPOConfig,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    judges: Judges,
    questions: Sequence[Question],
) -> tuple[Any, Outcome]:
    if config.algorithm != "ppo":
        from tasks.ml.train_trl import train_with_trl  # TRL takes seconds to import

        watch = context.watch("ppo", config.updates, "updates")
        figures = train_with_trl(
            model, tokenizer, judges, questions, config, context.seed, watch, context.out
        )
        return model, Outcome(figures)
    watch = context.watch("ppo", config.updates + 1, "updates")
    reference = None if config.adapter_rank else frozen_copy(model, "fp32")
    policy = Policy(model, config, context.seed, reference)
    trained = trained_parameters(policy)
    outcome = PPOTrainer(policy, judges, config, context.seed, watch).run(questions)
    outcome.figures["trained_parameters"] = trained
    return policy.merged(), outcome


def _rubric(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], questions: Sequence[Question]
) -> Callable[[Question, tuple[int, ...]], float]:
    """What the rubric says of an answer; it is never trained on."""
    of_prompt = {question.prompt: row for question, row in zip(questions, rows, strict=True)}
    stop = tokenizer.eos_token_id

    def gold(question: Question, response: tuple[int, ...]) -> float:
        text = decode_answer(tokenizer, response)
        return judge(of_prompt[question.prompt], text, stopped(response, stop)).utility

    return gold
