"""Align the policy with the reward model by PPO, and give back weights that were measured to be good."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from configs.schema_ppo import PPOConfig
from tasks.ml.batching import Group, PackedBatch, draw_whole_groups, fill, pack, plan_batches
from tasks.ml.checkpoint import Tensors, capture, restore
from tasks.ml.kl_control import KLController
from tasks.ml.optim import adamw
from tasks.ml.policy import Policy
from tasks.ml.ppo_guard import Guard, not_finite
from tasks.ml.ppo_math import policy_loss, value_loss
from tasks.ml.precision import arithmetic
from tasks.ml.rollout import Judges, Question, Trajectory, collect, rollout_points
from tasks.ml.seeding import random_for, stable_hash
from tasks.ml.trainer import Watch
from tasks.ml.workers import Alone, Workers

# Sums over the response tokens of a batch; `val/ratio_var` is the sum of squares until the mean is taken off.
POINTS = (
    "loss/policy",
    "loss/value",
    "policy/clipfrac",
    "policy/approxkl",
    "policy/entropy",
    "val/clipfrac",
    "val/ratio",
    "val/ratio_var",
)


@dataclass(frozen=True)
class Outcome:
    """How a PPO run ended.

    Attributes:
        figures: Of the weights given back: updates behind them, KL to the reference in nats per response,
            normalised score; and whether the KL limit ended the run.
        alarm: Why the run was stopped, if it went wrong; the best weights were restored then.
    """

    figures: dict[str, float]
    alarm: str | None = None


class _Diverged(Exception):
    """An optimiser step would have written NaN or infinite numbers into the weights."""


class PPOTrainer:
    """One PPO run: policy, optimiser, controller, guard, and the best weights that were measured."""

    def __init__(
        self,
        policy: Policy,
        judges: Judges,
        config: PPOConfig,
        seed: int,
        watch: Watch,
        workers: Workers | None = None,
    ) -> None:
        self.policy, self.judges, self.config, self.seed, self.watch = policy, judges, config, seed, watch
        self.workers = workers or Alone()
        self.trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.optimizer = adamw(self.trained, config.learning_rate, weight_decay=0.0)
        self.optimizer.register_step_post_hook(lambda *_: policy.sync())
        self.controller = KLController(config.kl_coefficient, config.kl_target, config.kl_horizon)
        self.guard = Guard(config.guard)
        self.figures: dict[str, float] = {}
        self.best: Tensors = {}
        self.best_figures: dict[str, float] = {}

    def run(self, questions: Sequence[Question]) -> Outcome:
        """Update until the configured number, the KL limit or an alarm is reached.

        The points of a rollout are those of the weights before its update, so one more rollout measures the
        last. A run that ends as planned gives back its last weights, any other the best.

        Args:
            questions: What to practise on.
        """
        saved = time.monotonic()
        for update in range(self._resume(), self.config.updates + 1):
            trajectory = self._roll_out(questions, update)
            points = rollout_points(trajectory, self.config, self.controller.coefficient)
            alarm = self.guard.observe(points)
            if alarm or points["objective/kl"] > self.config.kl_limit:
                self.watch.log(points, update)
                return self._give_back_best(alarm)
            self._remember(points, update)
            if update < self.config.updates:
                try:
                    points |= self._optimise(trajectory, update)
                except _Diverged as error:
                    return self._give_back_best(f"{error} in update {update + 1}")
                self.controller.observe(points["objective/kl"], len(trajectory.samples))
            self._report(points, update)
            if self.workers.index == 0 and time.monotonic() - saved >= self.config.checkpoint_seconds:
                self._save(update + 1)
                saved = time.monotonic()
        return Outcome({**self.figures, "stopped_by_kl": 0.0})

    def _roll_out(self, questions: Sequence[Question], update: int) -> Trajectory:
        keys = [question.key for question in questions]
        draw = random_for("ppo", self.seed, update)
        chosen = draw_whole_groups(keys, self.config.questions_per_update, draw)
        batch = [questions[index] for index in chosen]
        seed = stable_hash("ppo", self.seed, update)
        coefficient = self.controller.coefficient
        return collect(self.policy, self.judges, batch, self.config, coefficient, seed, self.workers)

    def _remember(self, points: Mapping[str, float], update: int) -> None:
        """Keep the weights if they are the best so far, by gold if it is known, and nothing looks wrong."""
        self.figures = {
            "updates": float(update),
            "kl": points["objective/kl"],
            "score": points["objective/scores"],
            "merit": points.get("objective/gold", points["objective/rlhf_reward"]),
        }
        is_better = not self.best_figures or self.figures["merit"] > self.best_figures["merit"]
        if is_better and not self.guard.beyond:
            named = self.policy.named_parameters()
            self.best = {f"model.{name}": p.detach().clone() for name, p in named if p.requires_grad}
            self.best_figures = self.figures

    def _give_back_best(self, alarm: str | None) -> Outcome:
        restore(self.policy, self.optimizer, self.best)
        return Outcome({**self.best_figures, "stopped_by_kl": float(alarm is None)}, alarm)

    def _optimise(self, trajectory: Trajectory, update: int) -> dict[str, float]:
        """Some epochs over one rollout; returns the mean of each point over the optimiser steps."""
        history: list[dict[str, float]] = []
        order = stable_hash("minibatches", self.seed, update)
        started = time.monotonic()
        for epoch in range(self.config.epochs):
            for part in plan_batches(trajectory.groups, self.config.token_budget, order, epoch):
                history.append(self._step(part, trajectory))
                if self.config.target_kl and history[-1]["policy/approxkl"] > self.config.target_kl:
                    return self._mean(history, started)
        return self._mean(history, started)

    def _mean(self, history: list[dict[str, float]], started: float) -> dict[str, float]:
        points = {name: sum(points[name] for points in history) / len(history) for name in history[0]}
        tokens = sum(points["tokens"] for points in history)
        del points["tokens"]
        return {**points, "steps": len(history), "tokens_per_second": tokens / (time.monotonic() - started)}

    def _step(self, part: Sequence[Group], trajectory: Trajectory) -> dict[str, float]:
        """One optimiser step: passes, and the shares of all workers, are added up."""
        count = sum(len(branch.response) for group in part for branch in group.branches)
        totals = torch.zeros(len(POINTS))
        for groups in fill(part[self.workers.index :: self.workers.count], self.config.pass_tokens):
            with arithmetic(self.config.precision):
                loss, sums = ppo_loss(self.policy, pack(groups, self.policy.pad), trajectory, self.config)
            (loss / count).backward()
            totals += sums
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.trained]
        self.workers.add_up([*gradients, totals])
        for parameter, gradient in zip(self.trained, gradients, strict=True):
            parameter.grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(self.trained, self.config.max_grad_norm)
        points = dict(zip(POINTS, (totals / count).tolist(), strict=True)) | {"grad_norm": norm.item()}
        broken = not_finite(points)
        if broken:
            raise _Diverged(broken)
        points["val/ratio_var"] -= points["val/ratio"] ** 2
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {**points, "tokens": float(sum(map(len, part)))}

    def _report(self, points: Mapping[str, float], update: int) -> None:
        self.watch.log(dict(points), update)
        self.watch.bar.advance()
        self.watch.bar.note(f"reward {points['objective/scores']:+.2f}, KL {points['objective/kl']:.2f}")

    def _save(self, update: int) -> None:
        best = {f"best.{name}": tensor for name, tensor in self.best.items()}
        state: dict[str, Any] = {
            "update": update,
            "figures": self.figures,
            "best_figures": self.best_figures,
            "kl_coefficient": self.controller.coefficient,
            "guard": self.guard.state(),
        }
        self.watch.checkpoints.save("train", capture(self.policy, self.optimizer) | best, state)

    def _resume(self) -> int:
        saved = self.watch.checkpoints.load("train")
        if saved is None:
            return 0
        tensors, state = saved
        prefix = "best."
        self.best = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        restore(self.policy, self.optimizer, tensors)
        self.figures, self.best_figures = state["figures"], state["best_figures"]
        self.controller.coefficient = state["kl_coefficient"]
        self.guard.restore(state["guard"])
        self.watch.bar.advance(state["update"])
        return int(state["update"])


def ppo_loss(
    policy: Policy, batch: PackedBatch, trajectory: Trajectory, config: PPOConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Policy loss + c value loss - e entropy, and POINTS, all summed over the response tokens of a batch."""
    place = (batch.example, batch.step)
    log_probs, values, entropy = policy.look(batch, config.temperature, config.entropy_coefficient > 0)
    old = trajectory.log_probs[place]
    losses, clipped = policy_loss(log_probs, old, trajectory.advantage[place], config.clip_range)
    old_values, returns = trajectory.values[place], trajectory.returns[place]
    errors, cut = value_loss(values, old_values, returns, config.value_clip_range)
    loss = (losses + config.value_coefficient * errors - config.entropy_coefficient * entropy).sum()
    with torch.no_grad():
        ratio = (log_probs - old).exp()
        approximate_kl = 0.5 * (log_probs - old) ** 2
        rows = (losses, errors, clipped, approximate_kl, entropy, cut, ratio, ratio**2)
        return loss, torch.stack([row.float().sum() for row in rows])
