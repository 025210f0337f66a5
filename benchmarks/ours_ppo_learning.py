"""Worker: this project's PPO on the learning task."""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.learning_workload import PROMPT_TOKENS, SEEDS, LearningTask, load_task, policy_folder
from configs.load import load_run_config
from configs.schema_ppo import PPOConfig
from tasks.ml.batching import PackedBatch
from tasks.ml.models import load_model
from tasks.ml.policy import Policy
from tasks.ml.precision import frozen_copy
from tasks.ml.rollout import Judges, Question
from tasks.ml.train_ppo import PPOTrainer
from tasks.ml.trainer import Watch

NO_LIMIT = 1e9


class EvenShare:
    """A reward model's interface: the share of even ids among the tokens of an answer."""

    def __init__(self, language_model: Any) -> None:
        self.language_model = language_model

    def hidden_states(self, batch: PackedBatch) -> torch.Tensor:
        """The share so far, for every token that is not of the prompt. Shape [R * T, 1]."""
        answer = (batch.position_ids >= PROMPT_TOKENS).float()
        even = answer * (batch.input_ids % 2 == 0)
        seen = batch.mask.squeeze(1).float() @ torch.stack([even, answer], dim=-1)
        return (seen[..., 0] / seen[..., 1].clamp(min=1)).flatten()[:, None]

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """Those shares. Shape [...]."""
        return hidden.squeeze(-1)


def settings(task: LearningTask) -> PPOConfig:
    """The section `ppo` with the task's hyper-parameters; nothing that TRL does not do stops a run."""
    base = load_run_config(Path("configs/base.yaml"), []).ppo
    return base.model_copy(
        update={
            "updates": task.updates,
            "questions_per_update": task.episodes_per_update,
            "samples_per_question": 1,
            "epochs": task.epochs,
            "token_budget": int(NO_LIMIT),
            "pass_tokens": int(NO_LIMIT),
            "learning_rate": task.learning_rate,
            "kl_coefficient": task.kl_coefficient,
            "kl_limit": NO_LIMIT,
            "clip_range": task.clip_range,
            "value_clip_range": task.value_clip_range,
            "value_coefficient": task.value_coefficient,
            "discount": task.discount,
            "gae_lambda": task.gae_lambda,
            "temperature": task.temperature,
            "max_new_tokens": task.max_new_tokens,
            "missing_stop_penalty": task.missing_stop_penalty,
            "frozen_layers": 0,
            "max_grad_norm": NO_LIMIT,
            "guard": base.guard.model_copy(update={"patience": int(NO_LIMIT)}),
            "precision": "fp32",
            "checkpoint_seconds": NO_LIMIT,
        }
    )


def learn(task: LearningTask, folder: Path, seed: int) -> dict[str, Any]:
    """One run: mean reward (penalty included) and KL in nats per answer, update by update."""
    model, config = load_model(policy_folder(folder, seed)), settings(task)
    points: list[dict[str, float]] = []
    policy = Policy(model, config, seed, frozen_copy(model, "fp32"))
    watch = Watch(log=lambda metrics, update: points.append(metrics))
    trainer = PPOTrainer(policy, Judges(EvenShare(model), 0.0, 1.0), config, seed, watch)  # type: ignore[arg-type]
    trainer.run([Question(tuple(prompt), str(number)) for number, prompt in enumerate(task.prompts)])
    return {
        "seed": seed,
        "rewards": [point["objective/scores"] for point in points[: task.updates]],
        "kl": [point["objective/kl"] for point in points[: task.updates]],
        "episodes_per_update": task.episodes_per_update,
    }


def main() -> None:
    """Learn with every seed, and print the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0, 1, ... so many")
    options = parser.parse_args()
    task = load_task(options.workload)
    print(json.dumps({"runs": [learn(task, options.workload, seed) for seed in range(options.seeds)]}))


if __name__ == "__main__":
    main()
