"""Worker: this project's PPO on the workload."""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.ppo_workload import Workload, load_workload, policy_folder, reward_folder, useful_flops
from benchmarks.probe import peak_rss_mb
from configs.load import load_run_config
from configs.schema_ppo import PPOConfig
from tasks.ml import rollout
from tasks.ml.decode import Decoded, DecodeEngine
from tasks.ml.models import ScoredModel, load_model
from tasks.ml.policy import Policy
from tasks.ml.precision import frozen_copy
from tasks.ml.rollout import Judges, Question
from tasks.ml.train_ppo import PPOTrainer
from tasks.ml.trainer import Watch
from tasks.shared.hardware import faster_precision, keep_freed_memory

NO_LIMIT = 1e9
PASS_TOKENS = 512


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=32, help="answers in an update")
    parser.add_argument("--samples", type=int, default=1, help="answers to each prompt")
    parser.add_argument("--updates", type=int, default=1, help="measured updates")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    options = parser.parse_args()
    if options.precision == "auto":
        options.precision = faster_precision(options.workload / "precision.json")
    return options


def settings(options: argparse.Namespace, workload: Workload) -> PPOConfig:
    """The section `ppo`: the rivals' adapter, and one optimiser step a pass over the rollout as they take."""
    base = load_run_config(Path("configs/base.yaml"), []).ppo
    return base.model_copy(
        update={
            "guard": base.guard.model_copy(update={"patience": int(NO_LIMIT)}),
            "updates": options.updates,
            "questions_per_update": options.episodes // options.samples,
            "samples_per_question": options.samples,
            "epochs": workload.epochs,
            "token_budget": int(NO_LIMIT),
            "pass_tokens": PASS_TOKENS,
            "learning_rate": 1e-5,
            "adapter_rank": 16,
            "adapter_alpha": 32.0,
            "frozen_layers": 0,
            "kl_coefficient": 0.05,
            "kl_limit": NO_LIMIT,
            "max_new_tokens": workload.max_new_tokens,
            "precision": options.precision,
            "checkpoint_seconds": NO_LIMIT,
        }
    )


def force_lengths(workload: Workload, episodes: int) -> None:
    """Give every answer the workload's length: no token stops it, and a limit of its own does."""

    class ForcedLengths(DecodeEngine):
        update = 0

        def run(self, prompts: Any, keys: Any, limits: Any = None, streams: Any = None) -> Decoded:
            lengths = workload.update_lengths(ForcedLengths.update, episodes)
            ForcedLengths.update += 1
            self.sampling = replace(self.sampling, stop=-1)
            return super().run(prompts, keys, [lengths[number] for number in streams], streams)

    rollout.DecodeEngine = ForcedLengths  # type: ignore[attr-defined,misc]


def main() -> None:
    """Train, and print seconds an update."""
    options = parse()
    keep_freed_memory()
    rss_before_mb = peak_rss_mb()
    workload = load_workload(options.workload)
    config = settings(options, workload)
    force_lengths(workload, options.episodes)
    reward = frozen_copy(ScoredModel.load(reward_folder(options.workload)), config.precision)
    policy = Policy(load_model(policy_folder(options.workload)), config, seed=0)
    clock = [(time.perf_counter(), time.process_time())]
    logged: list[dict[str, float]] = []

    def log(points: dict[str, float], update: int) -> None:
        clock.append((time.perf_counter(), time.process_time()))
        logged.append(points)

    trainer = PPOTrainer(policy, Judges(reward, 0.0, 1.0), config, 0, Watch(log=log))
    trainer.run([Question(tuple(prompt), str(number)) for number, prompt in enumerate(workload.prompts)])
    # The last point is that of the rollout which only measures the last weights.
    wall, processor = (
        [later[kind] - earlier[kind] for earlier, later in zip(clock[:-1], clock[1:-1], strict=False)]
        for kind in (0, 1)
    )
    lengths = [workload.update_lengths(update, options.episodes) for update in range(options.updates)]
    answer = {
        "seconds": wall,
        "processor_seconds": processor,
        "episodes_per_update": options.episodes,
        "tokens": workload.measured_tokens(len(wall), options.episodes),
        "peak_rss_mb": peak_rss_mb(),
        "rss_before_mb": rss_before_mb,
        "precision": config.precision,
        "useful_flops": [useful_flops(workload, one, options.samples) for one in lengths],
        "metrics": logged[-2],
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
