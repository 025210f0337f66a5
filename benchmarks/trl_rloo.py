"""Worker: TRL 1.16.0's RLOOTrainer on the workload, several answers to each prompt and no value model."""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.ppo_workload import Workload, load_workload, policy_folder, reward_folder
from benchmarks.probe import peak_rss_mb
from benchmarks.trl_parts import (
    PRECISIONS,
    UpdateClock,
    be_quiet,
    force_lengths,
    load,
    lora,
    print_answer,
    quiet_arguments,
)


def rloo_config(options: argparse.Namespace, workload: Workload, scratch: str) -> Any:
    """TRL's settings for the measured updates.

    An update is one rollout and as many optimiser steps on it as PPO has epochs.
    """
    from trl.trainer.rloo_config import RLOOConfig

    return RLOOConfig(
        **quiet_arguments(scratch),
        max_steps=workload.epochs * options.updates,
        per_device_train_batch_size=options.micro_batch,
        gradient_accumulation_steps=options.episodes // options.micro_batch,
        num_generations=options.samples,
        num_iterations=workload.epochs,
        max_completion_length=workload.max_new_tokens,
        temperature=1.0,
        beta=0.05,
        learning_rate=1e-5,
        remove_unused_columns=False,
    )


class RewardModel:
    """Scores whole batches of prompt and answer with the classifier; a reward function for TRL."""

    def __init__(self, classifier: Any, workload: Workload) -> None:
        self.classifier, self.workload = classifier.eval(), workload
        self.ids = dict(zip(workload.texts, workload.prompts, strict=True))
        self.__name__ = "reward_model"

    @torch.no_grad()
    def __call__(self, prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float | None]:
        """One reward for each answer."""
        rows = [
            torch.tensor([*self.ids[prompt], *answer])
            for prompt, answer in zip(prompts, completion_ids, strict=True)
        ]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.workload.pad)
        scores: torch.Tensor = self.classifier(input_ids=ids, attention_mask=ids != self.workload.pad).logits
        return [float(score) for score in scores.squeeze(-1)]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=32, help="answers in an update")
    parser.add_argument("--samples", type=int, default=4, help="answers to each prompt")
    parser.add_argument("--updates", type=int, default=1, help="measured updates")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--micro-batch", type=int, default=4, help="rows of one forward and backward pass")
    return parser.parse_args()


def main() -> None:
    """Train, and print seconds an update."""
    options = parse()
    be_quiet()
    if options.precision == "autocast":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
    from trl.trainer.rloo_trainer import RLOOTrainer

    rss_before_mb = peak_rss_mb()
    workload = load_workload(options.workload)
    policy = load(AutoModelForCausalLM, policy_folder(options.workload), options.precision)
    force_lengths(policy, workload)
    classifier = load(
        AutoModelForSequenceClassification, reward_folder(options.workload), options.precision, num_labels=1
    )
    clock = UpdateClock(steps_per_update=workload.epochs)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = RLOOTrainer(
            model=policy,
            reward_funcs=RewardModel(classifier, workload),
            args=rloo_config(options, workload, scratch),
            processing_class=AutoTokenizer.from_pretrained(
                policy_folder(options.workload), padding_side="left"
            ),
            train_dataset=Dataset.from_dict({"prompt": workload.texts}),
            callbacks=[clock],
            peft_config=lora(),
        )
        trainer.train()
    print_answer(clock, workload, options.episodes, rss_before_mb, {"precision": options.precision})


if __name__ == "__main__":
    main()
