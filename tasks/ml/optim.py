"""The optimiser and its schedules."""

import math
from collections.abc import Iterable

import torch

from configs.section import Schedule


def adamw(
    parameters: Iterable[torch.nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over the parameters that are trained; matrices decay, vectors do not."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=learning_rate, betas=(0.9, 0.95), fused=True
    )


def rate_factor(
    schedule: Schedule, step: int, steps: int, warmup: int, decay_share: float = 1.0, floor: float = 0.1
) -> float:
    """Factor on the learning rate: linear up over `warmup` steps, then down to `floor` as the schedule says.

    With x the share of the steps after warm-up that are done, f + (1 - f) times

        cosine  (1 + cos pi x) / 2        linear  1 - x
        constant  1                       wsd     min(1, (1 - x) / decay_share)

    Sources: Loshchilov & Hutter 2017, "SGDR"; Hu et al. 2024, "MiniCPM", for warm-up, stable, decay.
    """
    if step < warmup:
        return (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    match schedule:
        case "cosine":
            height = 0.5 * (1 + math.cos(math.pi * share))
        case "linear":
            height = 1 - share
        case "constant":
            height = 1.0
        case "wsd":
            height = min(1.0, (1 - share) / decay_share)
    return floor + (1 - floor) * height


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
