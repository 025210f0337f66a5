"""The one supervised training loop: batches in, trained weights out; the loss is the caller's.

It knows nothing of what is learnt, nor of who watches: points go to `log`, progress to `bar`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from configs.schema_distill import DistillConfig
from configs.schema_dpo import DPOConfig
from configs.schema_reward import RewardConfig
from tasks.ml.batching import Group, PackedBatch, pack
from tasks.ml.checkpoint import Checkpoints, NoCheckpoints, capture, restore
from tasks.ml.early_stopping import EarlyStopping
from tasks.ml.optim import adamw, rate_factor, set_learning_rate
from tasks.ml.precision import arithmetic
from tasks.ml.progress import Bar, NoBar

Log = Callable[[dict[str, float], int], None]
Loss = Callable[[PackedBatch], tuple[torch.Tensor, dict[str, float]]]
TrainSettings = DistillConfig | RewardConfig | DPOConfig


def no_log(metrics: dict[str, float], step: int) -> None:
    """Drop the point."""


@dataclass
class Watch:
    """Who follows a loop, and where it leaves its state.

    Attributes:
        log: Takes one point of each curve.
        bar: Shows progress, one step an optimiser step.
        checkpoints: Keeps the state under the name `train`.
    """

    log: Log = no_log
    bar: Bar = field(default_factory=NoBar)
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)


def train(
    model: torch.nn.Module,
    plan: Sequence[Sequence[Group]],
    loss_of: Loss,
    settings: TrainSettings,
    pad: int,
    watch: Watch,
    validate: Callable[[int], dict[str, float]] | None = None,
) -> None:
    """Take one optimiser step a batch of the plan, in place; goes on from a checkpoint if there is one.

    Args:
        model: Its parameters that require gradients are trained.
        plan: One list of groups an optimiser step.
        loss_of: Maps a packed batch to a loss and the points to log.
        settings: Rates, norms and precision.
        pad: Id of the padding token.
        watch: Who follows.
        validate: Called with the number of steps done after each step; returns points to log, of which
            `valid_nll` may end the training early.
    """
    optimizer = adamw(model.parameters(), settings.learning_rate, settings.weight_decay)
    stopping = EarlyStopping(model, settings.patience if isinstance(settings, DistillConfig) else 0)
    first = _resume(model, optimizer, stopping, watch)
    saved = time.monotonic()
    for step in range(first, len(plan)):
        rate = settings.learning_rate * _rate_factor(settings, step, len(plan))
        set_learning_rate(optimizer, rate)
        started = time.monotonic()
        batch = pack(plan[step], pad)
        points = _step(model, optimizer, batch, loss_of, settings)
        points |= {"learning_rate": rate, "tokens_per_second": batch.tokens / (time.monotonic() - started)}
        if validate:
            points |= validate(step + 1)
            points |= stopping.observe(points)
        watch.log(points, step + 1)
        watch.bar.advance()
        watch.bar.note(f"loss {points['loss']:.3f}")
        if stopping.is_over:
            break
        if time.monotonic() - saved >= settings.checkpoint_seconds and step + 1 < len(plan):
            tensors = capture(model, optimizer) | stopping.tensors()
            watch.checkpoints.save("train", tensors, {"step": step + 1, **stopping.state()})
            saved = time.monotonic()
    stopping.give_back()


def _rate_factor(settings: TrainSettings, step: int, steps: int) -> float:
    if isinstance(settings, DistillConfig):
        return rate_factor(settings.schedule, step, steps, settings.warmup_steps, settings.decay_share)
    return rate_factor("cosine", step, steps, settings.warmup_steps)


def _resume(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, stopping: EarlyStopping, watch: Watch
) -> int:
    saved = watch.checkpoints.load("train")
    if saved is None:
        return 0
    tensors, state = saved
    restore(model, optimizer, tensors)
    stopping.restore(tensors, state)
    watch.bar.advance(state["step"])
    return int(state["step"])


def _step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: PackedBatch,
    loss_of: Loss,
    settings: TrainSettings,
) -> dict[str, float]:
    with arithmetic(settings.precision):
        loss, points = loss_of(batch)
    loss.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"loss": loss.item(), "grad_norm": float(norm), **points}
