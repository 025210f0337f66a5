"""One small PPO run as a program of its own, for tests that kill it or start it twice.

Arguments as JSON: `folder` for checkpoints, `die_at`: optimiser step of this process at which it kills
itself (null: never), `workers`: whether it is one of several processes. Writes `outcome.json` and
`weights.safetensors`.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from conftest import PaysTokens, build_llama
from safetensors.torch import save_file

from configs.load import load_run_config
from tasks.ml.policy import Policy
from tasks.ml.rollout import Judges, Question
from tasks.ml.train_ppo import PPOTrainer
from tasks.ml.trainer import Watch
from tasks.ml.workers import Alone, Distributed
from tasks.place import Place
from tasks.stage import StoreCheckpoints

QUESTIONS = [Question((5, 6, 7, second), str(second % 3)) for second in range(14, 30)]
CHANGES = {
    "updates": 4,
    "questions_per_update": 9,
    "samples_per_question": 2,
    "epochs": 2,
    "token_budget": 60,
    "learning_rate": 0.01,
    "kl_coefficient": 0.02,
    "kl_target": 0.5,
    "kl_limit": 100.0,
    "max_new_tokens": 5,
    "checkpoint_seconds": 0.0,
    "precision": "fp32",
}


def main(folder: Path, die_at: int | None, workers: bool) -> None:
    torch.set_num_threads(1)
    config = load_run_config(Path("configs/smoke.yaml"), []).ppo.model_copy(update=CHANGES)
    team = Distributed() if workers else Alone()
    scratch = folder / str(team.index)
    scratch.mkdir(exist_ok=True)
    place = Place(home=folder, tracking_uri="none", experiment="none", quiet=True)
    checkpoints = StoreCheckpoints(place, place.store(), "ppo/" + "0" * 64, scratch)
    points: list[dict[str, float]] = []
    watch = Watch(log=lambda metrics, step: points.append(metrics), checkpoints=checkpoints)
    judges = Judges(PaysTokens(build_llama(), {31: 1.0}), mean=0.0, deviation=1.0)
    policy = Policy(build_llama(seed=10), config, 3, build_llama(seed=10))
    trainer = PPOTrainer(policy, judges, config, 3, watch, team)
    if die_at is not None:
        kill_at_step(trainer, die_at)
    outcome = trainer.run(QUESTIONS)
    if trainer.workers.index == 0:
        said = {"figures": outcome.figures, "alarm": outcome.alarm, "points": points, "workers": team.count}
        (folder / "outcome.json").write_text(json.dumps(said))
        save_file(
            {n: p.detach() for n, p in policy.scored.named_parameters()}, folder / "weights.safetensors"
        )


def kill_at_step(trainer: PPOTrainer, die_at: int) -> None:
    step, done = trainer.optimizer.step, []

    def deadly_step() -> None:
        step()
        done.append(1)
        if len(done) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    trainer.optimizer.step = deadly_step


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    main(Path(arguments["folder"]), arguments.get("die_at"), arguments.get("workers", False))
