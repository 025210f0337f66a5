"""DPO and KTO by TRL's trainers, with the optimiser, the rates and the very token ids of our own DPO.

DPO (Rafailov et al. 2023) has the loss of `tasks.ml.train_dpo`, but reads a question once for every answer
of every pair. KTO (Ethayarajh et al. 2024, "KTO", equations 7 and 8) needs no pairs: with r the implicit
reward of an answer and z = beta KL(policy || reference), estimated on answers to other questions,

    desirable    w_d (1 - sigmoid(r - z))        undesirable    w_u (1 - sigmoid(z - r))

where the weights make up for unequal numbers n of the two: w_d n_d = w_u n_u, the smaller weight being 1.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, TrainerCallback

from configs.schema_dpo import DPOConfig
from tasks.ml.batching import Group
from tasks.ml.models import freeze_bottom
from tasks.ml.optim import adamw, rate_factor
from tasks.ml.precision import is_bf16
from tasks.ml.preferences import Preferences
from tasks.ml.prompts import Example
from tasks.ml.seeding import random_for, stable_hash
from tasks.ml.trainer import Watch
from tasks.ml.trl_trainer import aside, make_trainer

Row = dict[str, Any]

NAMES = {"trl_dpo": "DPO", "kto": "KTO"}
# TRL's names of points, and ours.
_POINTS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "rewards/accuracies": "accuracy",
    "rewards/margins": "margin",
    "rewards/chosen": "chosen_reward",
    "rewards/rejected": "rejected_reward",
    "kl": "kl",
}


def pair_rows(groups: Sequence[Group], preferences: Preferences) -> list[Row]:
    """One row a pair for TRL's DPO; TRL knows no votes, so each pair counts once."""
    examples = _ungrouped(groups)
    both = zip(preferences.chosen.tolist(), preferences.rejected.tolist(), strict=True)
    return [
        {
            "prompt_ids": list(examples[chosen].prompt),
            "chosen_ids": list(examples[chosen].response),
            "rejected_ids": list(examples[rejected].response),
        }
        for chosen, rejected in both
    ]


def verdict_rows(groups: Sequence[Group], verdicts: Mapping[int, bool]) -> list[Row]:
    """One row an answer for TRL's KTO, from whether the answer of a branch is desirable."""
    examples = _ungrouped(groups)
    return [
        {
            "prompt_ids": list(examples[index].prompt),
            "completion_ids": list(examples[index].response),
            "label": is_desirable,
        }
        for index, is_desirable in verdicts.items()
    ]


def _ungrouped(groups: Sequence[Group]) -> dict[int, Example]:
    """Each branch as an example with the whole of its prompt, by its index."""
    return {
        branch.index: Example(group.prefix + branch.tail, branch.response)
        for group in groups
        for branch in group.branches
    }


def train_dpo_with_trl(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    config: DPOConfig,
    seed: int,
    watch: Watch,
    folder: Path,
) -> None:
    """Train a language model in place. A run that was cut short starts anew.

    Args:
        model: What is trained. As it comes, it is the reference.
        tokenizer: For its padding and stop tokens; the rows hold ids already.
        rows: Of `pair_rows` or `verdict_rows`, as the algorithm wants them.
        config: The section; `algorithm` is trl_dpo or kto.
        seed: Of the order of rows.
        watch: Who follows: a point and a step of the bar for each optimiser step.
        folder: Where TRL may write while it trains.
    """
    ordered = order_rows(rows, config, seed)
    freeze_bottom(model, config.frozen_layers)
    policy, reference = (copy.deepcopy(model) for _ in range(2))  # TRL patches a model's `forward` for good
    with TemporaryDirectory(dir=folder) as scratch, aside():
        settings = {
            "output_dir": scratch,
            "seed": stable_hash(config.algorithm, seed) % 2**32,
            "max_steps": steps_of(rows, config),
            "per_device_train_batch_size": rows_per_step(rows, config),
        }
        trainer = prepare_trainer(policy, reference, tokenizer, ordered, config, settings)
        trainer.add_callback(_Progress(watch))
        trainer.train()
    model.load_state_dict(trainer.model.state_dict())


def order_rows(rows: Sequence[Row], config: DPOConfig, seed: int) -> list[Row]:
    """The rows of all epochs, each epoch shuffled anew; for KTO each with an answer to another question.

    That answer is the one of the nearest row before it that has another prompt, so that what the KL is
    estimated on in a batch is nearly what the batch holds.

    Raises:
        ValueError: KTO has rows about one question only.
    """
    epochs = (random_for(config.algorithm, seed, epoch) for epoch in range(config.epochs))
    ordered = [row for draw in epochs for row in draw.sample(list(rows), len(rows))]
    if config.algorithm != "kto":
        return ordered
    return [
        row | {"KL_completion_ids": _answer_to_another(ordered, place)} for place, row in enumerate(ordered)
    ]


def _answer_to_another(rows: Sequence[Row], place: int) -> list[int]:
    for back in range(1, len(rows)):
        other = rows[place - back]
        if other["prompt_ids"] != rows[place]["prompt_ids"]:
            answer: list[int] = other["completion_ids"]
            return answer
    raise ValueError("KTO estimates the KL on answers to other questions: got one question, expected several")


def steps_of(rows: Sequence[Row], config: DPOConfig) -> int:
    """Optimiser steps of all epochs."""
    return math.ceil(len(rows) * config.epochs / rows_per_step(rows, config))


def rows_per_step(rows: Sequence[Row], config: DPOConfig) -> int:
    """Rows of an optimiser step: as many as keep within its tokens, were they all as long as the longest.

    The steps are as even as they can be. TRL wants two rows at least for KTO.
    """
    least = 2 if config.algorithm == "kto" else 1
    most = max(least, config.token_budget // max(_trained_tokens(row) for row in rows))
    total = len(rows) * config.epochs
    return max(least, math.ceil(total / math.ceil(total / most)))


def _trained_tokens(row: Row) -> int:
    """Tokens of the sequences of a row when they are padded to the longer one."""
    answers = [len(row[name]) for name in ("chosen_ids", "rejected_ids", "completion_ids") if name in row]
    return len(answers) * (len(row["prompt_ids"]) + max(answers))


def prepare_trainer(
    policy: Any,
    reference: Any,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    config: DPOConfig,
    settings: Mapping[str, Any],
) -> Any:
    """TRL's trainer for rows in their order, with our optimiser and schedule.

    Args:
        policy: What is trained, where it is not frozen; TRL changes it for good.
        reference: Against which log-ratios are taken; another object, which TRL changes too.
        tokenizer: For its padding and stop tokens.
        rows: With token ids, in the order in which they are to be read.
        config: The section.
        settings: Among TRL's, those that differ from run to run: `max_steps`, `per_device_train_batch_size`.
    """
    optimizer = adamw(policy.parameters(), config.learning_rate, config.weight_decay)
    steps = settings["max_steps"]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor("cosine", step, steps, config.warmup_steps)
    )
    own = {
        "beta": config.beta,
        "max_length": None,
        "max_grad_norm": config.max_grad_norm,
        "train_sampling_strategy": "sequential",
        "bf16": is_bf16(config.precision),
        "logging_steps": 1,
        **settings,
    }
    return make_trainer(
        NAMES[config.algorithm],
        own | (kto_weights(rows) if config.algorithm == "kto" else {}),
        rows,
        # The rows hold ids. TRL would encode texts, and give a stop token to answers that were cut, too.
        methods={"_prepare_dataset": lambda trainer, dataset, *_: dataset},
        model=policy,
        ref_model=reference.requires_grad_(False),
        processing_class=tokenizer,
        optimizers=(optimizer, schedule),
    )


def kto_weights(rows: Sequence[Row]) -> dict[str, float]:
    """Weights of the two losses by TRL's names, so that both kinds of rows weigh the same in sum."""
    desirable = sum(row["label"] for row in rows)
    undesirable = len(rows) - desirable
    return {
        "desirable_weight": max(1.0, undesirable / max(1, desirable)),
        "undesirable_weight": max(1.0, desirable / max(1, undesirable)),
    }


@dataclass
class _Progress(TrainerCallback):
    """Hands TRL's points to a watch, under the names that our own DPO gives them."""

    watch: Watch

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Pass one step's metrics on; the summary at the end has no loss and is dropped."""
        logs = kwargs["logs"]
        if "loss" not in logs:
            return
        self.watch.log({own: logs[name] for name, own in _POINTS.items() if name in logs}, state.global_step)
        self.watch.bar.advance()
        self.watch.bar.note(f"loss {logs['loss']:.3f}")
