"""Worker: TRL 1.12.0's PPOTrainer on the workload. Run it with the Python of `trl_environment`."""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import inject_adapter_in_model
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


def ppo_config(options: argparse.Namespace, workload: Workload, scratch: str) -> Any:
    """TRL's settings for the measured updates."""
    from trl.experimental.ppo import PPOConfig  # type: ignore[import-not-found,unused-ignore]

    return PPOConfig(
        **quiet_arguments(scratch),
        total_episodes=options.episodes * options.updates,
        per_device_train_batch_size=options.micro_batch,
        gradient_accumulation_steps=options.episodes // options.micro_batch,
        local_rollout_forward_batch_size=options.rollout_batch or options.episodes,
        num_ppo_epochs=workload.epochs,
        num_mini_batches=1,
        num_sample_generations=0,
        response_length=workload.max_new_tokens,
        stop_token="eos",
        temperature=1.0,
        learning_rate=1e-5,
    )


def value_model(folder: Path, options: argparse.Namespace) -> Any:
    """A second trunk with a value head: all of it trained, or its head and adapters of the policy's kind."""
    model = load(AutoModelForSequenceClassification, reward_folder(folder), options.precision, num_labels=1)
    if options.value == "lora":
        model.requires_grad_(False)
        inject_adapter_in_model(lora(), model.model)
        model.score.requires_grad_(True)
    return model


def prompt_dataset(workload: Workload, samples: int, episodes: int) -> Dataset:
    """Prompts, each as often as it is to be answered; the trainer shuffles them."""
    count = max(episodes, len(workload.prompts) // episodes * episodes)
    ids = [workload.prompts[index // samples % len(workload.prompts)] for index in range(count)]
    return Dataset.from_dict({"input_ids": ids})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=32, help="answers in an update")
    parser.add_argument("--samples", type=int, default=1, help="answers to each prompt")
    parser.add_argument("--updates", type=int, default=1, help="measured updates")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--value", choices=("full", "lora"), default="lora")
    parser.add_argument("--micro-batch", type=int, default=8, help="rows of one forward and backward pass")
    parser.add_argument("--rollout-batch", type=int, default=0, help="rows sampled together; 0: all")
    return parser.parse_args()


def main() -> None:
    """Train, and print seconds an update."""
    options = parse()
    be_quiet()
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    if options.precision == "autocast":
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
    from trl.experimental.ppo import PPOTrainer

    rss_before_mb = peak_rss_mb()
    workload = load_workload(options.workload)
    policy = load(AutoModelForCausalLM, policy_folder(options.workload), options.precision)
    force_lengths(policy, workload)
    clock = UpdateClock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = PPOTrainer(
            args=ppo_config(options, workload, scratch),
            processing_class=AutoTokenizer.from_pretrained(policy_folder(options.workload)),
            model=policy,
            ref_model=None,
            reward_model=load(
                AutoModelForSequenceClassification,
                reward_folder(options.workload),
                options.precision,
                num_labels=1,
            ),
            value_model=value_model(options.workload, options),
            train_dataset=prompt_dataset(workload, options.samples, options.episodes),
            eval_dataset=Dataset.from_dict({"input_ids": workload.prompts[:1]}),
            callbacks=[clock],
            peft_config=lora(),
        )
        trainer.train()
    extra = {"precision": options.precision, "value": options.value}
    print_answer(clock, workload, options.episodes, rss_before_mb, extra)


if __name__ == "__main__":
    main()
