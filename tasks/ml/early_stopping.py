"""Early stopping: a loop ends when validation stops improving, and gives back the weights that were best."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from tasks.ml.checkpoint import Tensors

_PREFIX = "best."


class EarlyStopping:
    """Follows `valid_nll` and remembers the trained weights at its lowest.

    Args:
        model: Whose parameters that require gradients are remembered.
        patience: Validations in a row without a lower value after which the loop is over; 0: it never is,
            and nothing is remembered.

    Attributes:
        best: The lowest value, nats per token; infinite before the first.
        bad: Validations since then.
    """

    def __init__(self, model: torch.nn.Module, patience: int) -> None:
        self.model, self.patience = model, patience
        self.best, self.bad = math.inf, 0
        self._weights: Tensors = {}

    @property
    def is_over(self) -> bool:
        """Whether the loop should end."""
        return self.patience > 0 and self.bad >= self.patience

    def observe(self, points: Mapping[str, float]) -> dict[str, float]:
        """Take a step's points; where validation is among them, gives one more. NaN is no improvement."""
        if not self.patience or "valid_nll" not in points:
            return {}
        if points["valid_nll"] < self.best:
            self.best, self.bad = points["valid_nll"], 0
            self._weights = {name: p.detach().clone() for name, p in self._trained().items()}
        else:
            self.bad += 1
        return {"best_valid_nll": self.best}

    @torch.no_grad()
    def give_back(self) -> None:
        """Put the best weights into the model, if any were remembered."""
        trained = self._trained()
        for name, weight in self._weights.items():
            trained[name].copy_(weight)

    def tensors(self) -> Tensors:
        """The best weights under flat names, for a checkpoint."""
        return {f"{_PREFIX}{name}": weight for name, weight in self._weights.items()}

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint must hold."""
        return {"best": self.best, "bad": self.bad}

    def restore(self, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Put back what `tensors` and `state` gave."""
        self.best, self.bad = state["best"], state["bad"]
        self._weights = {
            name.removeprefix(_PREFIX): weight for name, weight in tensors.items() if name.startswith(_PREFIX)
        }

    def _trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}
