"""Align the policy with the reward model by TRL's RLOO or GRPO: the same judges, questions and keys as PPO.

RLOO (Ahmadian et al. 2024, "Back to Basics") takes the KL to the reference from the reward of a response.
GRPO (Shao et al. 2024, "DeepSeekMath") has it in the loss, and scales each question's rewards to variance 1.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig
from transformers import PreTrainedTokenizerBase, TrainerCallback

from configs.schema_ppo import PPOConfig
from tasks.ml.batching import draw_whole_groups, group_examples
from tasks.ml.decode import stopped
from tasks.ml.models import freeze_bottom, save_model
from tasks.ml.precision import is_bf16
from tasks.ml.prompts import Example
from tasks.ml.reward_scores import score_groups
from tasks.ml.rollout import Judges, Question
from tasks.ml.seeding import random_for, stable_hash
from tasks.ml.trainer import Watch
from tasks.ml.trl_trainer import aside, make_trainer

# TRL measures the KL only where it costs something; this much is lost in rounding beside any advantage.
_UNFELT = 1e-30


def train_with_trl(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    judges: Judges,
    questions: Sequence[Question],
    config: PPOConfig,
    seed: int,
    watch: Watch,
    folder: Path,
) -> dict[str, float]:
    """Train a language model in place; each update answers the questions that the same update of PPO would.

    Epochs, the tokens of an optimiser step and the clip range mean what they mean for PPO. TRL has no value
    model, KL limit or guard; the keys of those are not looked at. A run that was cut short starts anew.

    Args:
        model: What is trained. As it comes, it is the reference.
        tokenizer: Prompts pass through it, since TRL takes them as text.
        judges: The reward model, and gold where it is known.
        questions: What to practise on.
        config: The section; `algorithm` is rloo or grpo.
        seed: Of the draws of questions and answers.
        watch: Who follows: a point and a step of the bar for each update.
        folder: Where the reference lies while TRL needs it.

    Returns:
        Number of updates; KL in nats per response and normalised score of the last rollout, which the weights
        before the last update wrote; and `stopped_by_kl`, which is always 0.

    Raises:
        ValueError: A prompt's ids are not those of its text.
    """
    rounds = draw_rounds(questions, config, seed)
    prompts = prompt_texts(tokenizer, questions)
    rows = [{"prompt": prompts[index], "question": index} for drawn in rounds for index in drawn]
    steps = steps_per_pass(questions, len(rounds[0]), config)
    progress = _Progress(watch, steps * config.epochs)

    def reward(
        completion_ids: list[list[int]],
        question: list[int],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        asked = [questions[index] for index in question]
        if judges.gold:
            pairs = zip(asked, completion_ids, strict=True)
            log_metric("gold", sum(judges.gold(one, tuple(ids)) for one, ids in pairs) / len(asked))
        scores = normalised_rewards(judges, asked, completion_ids, config, tokenizer.eos_token_id)
        return [float(score) for score in scores]

    with TemporaryDirectory(dir=folder) as scratch, aside():
        trainer = make_trainer(
            config.algorithm.upper(),
            _settings(config, len(rounds[0]), steps, seed) | {"output_dir": scratch},
            rows,
            methods={},
            model=_policy(model, tokenizer, config, Path(scratch)),
            processing_class=tokenizer,
            reward_funcs=reward,
            callbacks=[progress],
            peft_config=_adapter(model, config),
        )
        trainer.train()
    trained = trainer.model.merge_and_unload() if config.adapter_rank else trainer.model
    model.load_state_dict(trained.state_dict())
    return progress.figures


def draw_rounds(questions: Sequence[Question], config: PPOConfig, seed: int) -> list[list[int]]:
    """Indices of the questions of each update, as PPO draws them."""
    keys = [question.key for question in questions]
    return [
        draw_whole_groups(keys, config.questions_per_update, random_for("ppo", seed, update))
        for update in range(config.updates)
    ]


def prompt_texts(tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question]) -> list[str]:
    """The text of each prompt, of which the tokenizer, called as TRL calls it, makes the prompt's ids.

    Raises:
        ValueError: It makes other ids.
    """
    prompts = [list(question.prompt) for question in questions]
    texts = [str(tokenizer.decode(prompt, clean_up_tokenization_spaces=False)) for prompt in prompts]
    for index, (ids, prompt) in enumerate(zip(tokenizer(text=texts)["input_ids"], prompts, strict=True)):
        if ids != prompt:
            raise ValueError(
                f"`questions[{index}].prompt` does not survive being decoded and encoded, which TRL needs: "
                f"got {ids}, expected {prompt}; set `ppo.algorithm: ppo`, which takes token ids"
            )
    return texts


def normalised_rewards(
    judges: Judges,
    questions: Sequence[Question],
    responses: Sequence[Sequence[int]],
    config: PPOConfig,
    stop: int,
) -> torch.Tensor:
    """(score - mean) / deviation, less the penalty of a response that does not stop. Shape [N].

    Args:
        judges: The reward model and its scale.
        questions: The question of each response.
        responses: Token ids, with the stop token where there was one.
        config: The penalty and the sizes of batches.
        stop: Id of the stop token.
    """
    pairs = zip(questions, responses, strict=True)
    examples = [Example(question.prompt, tuple(response)) for question, response in pairs]
    groups = group_examples(examples, [question.key for question in questions], config.row_tokens)
    scores = score_groups(judges.reward, groups, len(examples), config.token_budget, "fp32")
    stops = torch.tensor([stopped(response, stop) for response in responses])
    return (scores - judges.mean) / judges.deviation - config.missing_stop_penalty * ~stops


@dataclass
class _Progress(TrainerCallback):
    """Hands TRL's points to a watch, under the names that PPO gives them.

    Attributes:
        watch: Who follows.
        steps: Optimiser steps of an update, after which TRL logs the mean of each metric.
        figures: What the run returns.
    """

    watch: Watch
    steps: int
    figures: dict[str, float] = field(default_factory=dict)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Pass one update's metrics on; the summary at the end has no reward and is dropped."""
        logs = kwargs["logs"]
        if "reward" not in logs:
            return
        update = state.global_step // self.steps
        points = update_points(logs)
        self.figures = {
            "updates": float(update),
            "kl": points["objective/kl"],
            "score": points["objective/scores"],
            "stopped_by_kl": 0.0,
        }
        self.watch.log(points, update - 1)
        self.watch.bar.advance()
        self.watch.bar.note(f"reward {points['objective/scores']:+.2f}, KL {points['objective/kl']:.2f}")


def update_points(logs: dict[str, float]) -> dict[str, float]:
    """TRL's metrics of one update; its KL is in nats per token, ours in nats per response.

    RLOO's KL is the mean log-ratio of the rollout, GRPO's the k3 estimate during the update's steps.
    """
    points = {
        "objective/scores": logs["reward"],
        "objective/kl": logs["kl"] * logs["completions/mean_length"],
        "objective/length": logs["completions/mean_length"],
        "objective/stop_rate": 1 - logs["completions/clipped_ratio"],
        "policy/entropy": logs["entropy"],
        "policy/clipfrac": logs["clip_ratio/region_mean"],
        "loss/policy": logs["loss"],
        "grad_norm": logs["grad_norm"],
    }
    return points | ({"objective/gold": logs["gold"]} if "gold" in logs else {})


def _policy(model: Any, tokenizer: PreTrainedTokenizerBase, config: PPOConfig, folder: Path) -> Any:
    """A copy for TRL, which patches `forward` and the configuration for good."""
    policy = copy.deepcopy(model)
    if not config.adapter_rank:
        # TRL reads the reference from where the configuration says that the policy came from; with an
        # adapter, the reference is the model without it.
        save_model(folder / "reference", policy, tokenizer)
        policy.config.name_or_path = str(folder / "reference")
        freeze_bottom(policy, config.frozen_layers)
    return policy


def _adapter(model: Any, config: PPOConfig) -> LoraConfig | None:
    """LoRA on every matrix of the layers that are trained; None for full fine-tuning."""
    if not config.adapter_rank:
        return None
    targets = [
        f"layers.{index}.{name}"
        for index, layer in enumerate(model.model.layers)
        for name, part in layer.named_modules()
        if index >= config.frozen_layers and isinstance(part, torch.nn.Linear)
    ]
    return LoraConfig(
        r=config.adapter_rank,
        lora_alpha=config.adapter_alpha,  # type: ignore[arg-type]  # a float does
        target_modules=targets,
        task_type="CAUSAL_LM",
    )


def steps_per_pass(questions: Sequence[Question], drawn: int, config: PPOConfig) -> int:
    """Optimiser steps of one pass over a rollout; TRL wants them all to have the same number of answers."""
    answers = drawn * config.samples_per_question
    longest = max(len(question.prompt) for question in questions) + config.max_new_tokens
    most = max(1, config.token_budget // longest)
    return next(steps for steps in range(1, answers + 1) if answers % steps == 0 and answers <= most * steps)


def _settings(config: PPOConfig, drawn: int, steps: int, seed: int) -> dict[str, Any]:
    """TRL's names for the section."""
    return {
        "seed": stable_hash(config.algorithm, seed) % 2**32,
        "max_steps": config.updates * config.epochs * steps,
        "per_device_train_batch_size": drawn * config.samples_per_question // steps,
        "steps_per_generation": steps,
        "num_iterations": config.epochs,
        "num_generations": config.samples_per_question,
        "shuffle_dataset": False,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "top_k": config.top_k,
        "top_p": config.top_p,
        "beta": max(config.kl_coefficient, _UNFELT),
        "epsilon": config.clip_range,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "constant",
        "adam_beta2": 0.95,
        "max_grad_norm": config.max_grad_norm,
        "bf16": is_bf16(config.precision),
        "logging_steps": config.epochs * steps,
    }
