"""Worker: TRL 1.12.0's PPOTrainer on the learning task. Run it with the Python of `trl_environment`.

TRL tells padding from text by its id alone, so an answer must never contain that id. Here it is one beyond
the vocabulary: the policy gets a row more, and a head that never gives it any probability. The distribution
over the other tokens is that of the policy as saved.
"""

import argparse
import gc
import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from benchmarks.learning_workload import (
    PROMPT_TOKENS,
    SEEDS,
    VOCABULARY,
    LearningTask,
    load_task,
    policy_folder,
)
from benchmarks.trl_parts import UpdateClock, be_quiet, quiet_arguments

PAD = VOCABULARY
IMPOSSIBLE = -1e9


class HeadWithoutPad(torch.nn.Module):
    """The tied language-model head, with the padding token made impossible."""

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        self.weight = embedding.weight

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits. Shape [..., V + 1]."""
        logits = torch.nn.functional.linear(hidden, self.weight)
        return logits.index_fill(-1, torch.tensor([PAD]), IMPOSSIBLE)


class EvenShare(torch.nn.Module):
    """The share of even ids so far, as TRL's `get_reward` wants it: a backbone whose states `score` reads."""

    base_model_prefix = "backbone"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _EvenCounter()
        self.score = torch.nn.Identity()


class _EvenCounter(torch.nn.Module):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> Any:
        response = attention_mask.clone()
        response[:, :PROMPT_TOKENS] = 0
        even = (input_ids % 2 == 0) & response.bool()
        share = even.cumsum(1) / response.cumsum(1).clamp(min=1)
        return SimpleNamespace(hidden_states=(share[..., None],))


def policy(folder: Path) -> Any:
    """The initial policy with one row more for padding."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.resize_token_embeddings(VOCABULARY + 1, mean_resizing=False)
    model.lm_head = HeadWithoutPad(model.get_input_embeddings())
    model.generation_config.pad_token_id = PAD
    return model


def value_model(folder: Path) -> Any:
    """A trunk of its own that starts as the policy's, below a head that starts at 0."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    torch.nn.init.zeros_(model.score.weight)
    return model


def tokenizer(stop: int) -> PreTrainedTokenizerFast:
    """Knows nothing but the ids of the special tokens."""
    words = {f"t{index}": index for index in range(PAD)} | {"pad": PAD}
    backend = Tokenizer(models.WordLevel(words, unk_token="t0"))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=f"t{stop}", pad_token="pad", padding_side="left"
    )


def ppo_config(task: LearningTask, learning_rate: float, seed: int, scratch: str) -> Any:
    """The task's hyper-parameters in TRL's names."""
    from trl.experimental.ppo import PPOConfig  # type: ignore[import-not-found,unused-ignore]

    return PPOConfig(
        **quiet_arguments(scratch),
        seed=seed,
        total_episodes=task.updates * task.episodes_per_update,
        per_device_train_batch_size=task.episodes_per_update,
        gradient_accumulation_steps=1,
        local_rollout_forward_batch_size=task.episodes_per_update,
        num_ppo_epochs=task.epochs,
        num_mini_batches=1,
        num_sample_generations=0,
        response_length=task.max_new_tokens,
        stop_token="eos",
        missing_eos_penalty=task.missing_stop_penalty,
        temperature=task.temperature,
        learning_rate=learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        kl_coef=task.kl_coefficient,
        cliprange=task.clip_range,
        cliprange_value=task.value_clip_range,
        vf_coef=task.value_coefficient,
        gamma=task.discount,
        lam=task.gae_lambda,
        whiten_rewards=False,
    )


def learn(task: LearningTask, folder: Path, seed: int, learning_rate: float) -> dict[str, Any]:
    """One run: mean reward (penalty included) and KL in nats per answer, update by update."""
    from trl.experimental.ppo import PPOTrainer

    clock = UpdateClock()
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = PPOTrainer(
            args=ppo_config(task, learning_rate, seed, scratch),
            processing_class=tokenizer(task.stop),
            model=policy(policy_folder(folder, seed)),
            ref_model=None,
            reward_model=EvenShare(),
            value_model=value_model(policy_folder(folder, seed)),
            train_dataset=Dataset.from_dict({"input_ids": task.prompts}),
            eval_dataset=Dataset.from_dict({"input_ids": task.prompts[:1]}),
            callbacks=[clock],
        )
        trainer.train()
    points = [logged for logged in clock.logged if "objective/scores" in logged]
    return {
        "seed": seed,
        "rewards": [point["objective/scores"] for point in points],
        "kl": [point["objective/kl"] for point in points],
        "episodes_per_update": task.episodes_per_update,
        "seconds": sum(clock.seconds),
    }


def main() -> None:
    """Learn with every seed, and print the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0, 1, ... so many")
    parser.add_argument("--learning-rate", type=float, default=None, help="instead of the task's")
    options = parser.parse_args()
    be_quiet()
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    task = load_task(options.workload)
    rate = options.learning_rate or task.learning_rate
    gc.freeze()  # TRL collects garbage twice an update; libraries' objects need not be looked through
    runs = [learn(task, options.workload, seed, rate) for seed in range(options.seeds)]
    print(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()
