"""Align the policy with the reward model by PPO, and give back weights that stay near the distilled model."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from configs.schema import PPOConfig
from tasks.ml.batching import PackedBatch, draw_whole_groups, pack, plan_batches
from tasks.ml.checkpoint import Tensors, capture, restore
from tasks.ml.models import ScoredModel, freeze_bottom
from tasks.ml.optim import adamw
from tasks.ml.ppo_math import masked_mean, policy_loss, value_loss
from tasks.ml.precision import arithmetic
from tasks.ml.rollout import Judges, Question, Trajectory, collect, look
from tasks.ml.seeding import random_for, stable_hash
from tasks.ml.trainer import Watch


class PPOTrainer:
    """One PPO run: policy, optimiser, and the last weights whose KL was measured to be within the limit."""

    def __init__(
        self, policy: ScoredModel, judges: Judges, config: PPOConfig, seed: int, watch: Watch
    ) -> None:
        self.policy, self.judges, self.config, self.seed, self.watch = policy, judges, config, seed, watch
        freeze_bottom(policy.language_model, config.frozen_layers)
        self.optimizer = adamw(policy.parameters(), config.learning_rate, weight_decay=0.0)
        self.within: Tensors = {}
        self.figures: dict[str, float] = {}

    def run(self, questions: Sequence[Question]) -> dict[str, float]:
        """Update until the configured number or the KL limit is reached.

        The KL of a rollout is that of the weights before its update, so one more rollout measures the last.

        Args:
            questions: What to practise on.

        Returns:
            Of the weights given back: updates, KL in nats per response, normalised score; and whether the
            limit ended the run.
        """
        saved = time.monotonic()
        for update in range(self._resume(), self.config.updates + 1):
            trajectory = self._roll_out(questions, update)
            points = rollout_points(trajectory)
            if points["objective/kl"] > self.config.kl_limit:
                self.watch.log(points, update)
                restore(self.policy, self.optimizer, self.within)
                return {**self.figures, "stopped_by_kl": 1.0}
            self.within = self._weights()
            self.figures = {
                "updates": float(update),
                "kl": points["objective/kl"],
                "score": points["objective/scores"],
                "stopped_by_kl": 0.0,
            }
            if update < self.config.updates:
                points |= self._optimise(trajectory, update)
            self._report(points, update)
            if time.monotonic() - saved >= self.config.checkpoint_seconds:
                self._save(update + 1)
                saved = time.monotonic()
        return self.figures

    def _roll_out(self, questions: Sequence[Question], update: int) -> Trajectory:
        keys = [question.key for question in questions]
        draw = random_for("ppo", self.seed, update)
        chosen = draw_whole_groups(keys, self.config.questions_per_update, draw)
        batch = [questions[index] for index in chosen]
        return collect(self.policy, self.judges, batch, self.config, stable_hash("ppo", self.seed, update))

    def _optimise(self, trajectory: Trajectory, update: int) -> dict[str, float]:
        """Some epochs over one rollout; returns the mean of each point over the optimiser steps."""
        history: list[dict[str, float]] = []
        for epoch in range(self.config.epochs):
            order = stable_hash("minibatches", self.seed, update)
            for part in plan_batches(trajectory.groups, self.config.token_budget, order, epoch):
                batch = pack(part, self.policy.language_model.config.pad_token_id)
                history.append(self._step(batch, trajectory))
        return {name: sum(points[name] for points in history) / len(history) for name in history[0]}

    def _step(self, batch: PackedBatch, trajectory: Trajectory) -> dict[str, float]:
        with arithmetic(self.config.precision):
            loss, points = ppo_loss(self.policy, batch, trajectory, self.config)
        loss.backward()
        trained = [parameter for parameter in self.policy.parameters() if parameter.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return points

    def _report(self, points: Mapping[str, float], update: int) -> None:
        self.watch.log(dict(points), update)
        self.watch.bar.advance()
        self.watch.bar.note(f"reward {points['objective/scores']:+.2f}, KL {points['objective/kl']:.2f}")

    def _weights(self) -> Tensors:
        trained = {name: p for name, p in self.policy.named_parameters() if p.requires_grad}
        return {f"model.{name}": parameter.detach().clone() for name, parameter in trained.items()}

    def _save(self, update: int) -> None:
        within = {f"within.{name}": tensor for name, tensor in self.within.items()}
        state: dict[str, Any] = {"update": update, "figures": self.figures}
        self.watch.checkpoints.save("train", capture(self.policy, self.optimizer) | within, state)

    def _resume(self) -> int:
        saved = self.watch.checkpoints.load("train")
        if saved is None:
            return 0
        tensors, state = saved
        prefix = "within."
        self.within = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        restore(self.policy, self.optimizer, tensors)
        self.figures = state["figures"]
        self.watch.bar.advance(state["update"])
        return int(state["update"])


def ppo_loss(
    policy: ScoredModel, batch: PackedBatch, trajectory: Trajectory, config: PPOConfig
) -> tuple[torch.Tensor, dict[str, float]]:
    """Policy loss + c value loss, mean over the response tokens of the batch."""
    place = (batch.example, batch.step)
    log_probs, values, entropy = look(policy, batch, config.temperature)
    old = trajectory.log_probs[place]
    losses, clipped = policy_loss(log_probs, old, trajectory.advantage[place], config.clip_range)
    errors = value_loss(values, trajectory.values[place], trajectory.returns[place], config.value_clip_range)
    with torch.no_grad():
        ratio = (log_probs - old).exp()
        points = {
            "policy/loss": losses.mean().item(),
            "policy/clipfrac": clipped.float().mean().item(),
            "policy/approxkl": (0.5 * (log_probs - old) ** 2).mean().item(),
            "policy/entropy": entropy.mean().item(),
            "val/loss": errors.mean().item(),
            "val/ratio": ratio.mean().item(),
        }
    return losses.mean() + config.value_coefficient * errors.mean(), points


def rollout_points(trajectory: Trajectory) -> dict[str, float]:
    """What a rollout says of the policy that made it; KL in nats per response, length in tokens."""
    mask = trajectory.mask
    return {
        "objective/kl": (trajectory.log_ratio * mask).sum(1).mean().item(),
        "objective/scores": trajectory.scores.mean().item(),
        "objective/length": mask.sum(1).float().mean().item(),
        "objective/stop_rate": trajectory.stops.float().mean().item(),
        "val/mean": masked_mean(trajectory.values, mask).item(),
    }
