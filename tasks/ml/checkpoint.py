"""Everything that a training loop needs to go on where it was: weights, optimiser state, counters.

Saved as safetensors with a JSON header, never as a pickle. Draws need no saving: they are made from names and
step numbers (`tasks.ml.seeding`), so the step number restores them.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]


class Checkpoints(Protocol):
    """Where a loop leaves its state; what is saved under a name replaces what was there, as a whole."""

    def save(self, name: str, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Keep tensors and a JSON state."""

    def load(self, name: str) -> tuple[Tensors, dict[str, Any]] | None:
        """What was kept last under this name, or None."""


class NoCheckpoints:
    """Keeps nothing: for short loops and tests."""

    def save(self, name: str, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Keep nothing."""

    def load(self, name: str) -> tuple[Tensors, dict[str, Any]] | None:
        """There is never anything."""
        return None


def write_state(path: Path, tensors: Tensors, state: Mapping[str, Any]) -> None:
    """Write a checkpoint file; `path` must not be the file that a reader may open."""
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"state": json.dumps(state)}
    )


def read_state(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read what `write_state` wrote."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, json.loads(file.metadata()["state"])


def capture(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Tensors:
    """Trained weights and the optimiser's tensors under flat names; frozen weights are left out."""
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters() if p.requires_grad}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in entry.items()}
    return tensors


def restore(model: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put back what `capture` took."""
    entries: dict[int, dict[str, torch.Tensor]] = {}
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            part, rest = name.split(".", 1)
            if part == "model":
                parameters[rest].copy_(tensor)
            elif part == "optimizer":
                index, field = rest.split(".")
                entries.setdefault(int(index), {})[field] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": entries, "param_groups": groups})
