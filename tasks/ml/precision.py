"""In which arithmetic a model computes."""

import copy
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

from configs.section import Precision

Model = TypeVar("Model", bound=torch.nn.Module)


def arithmetic(precision: Precision) -> AbstractContextManager[None]:
    """Autocast for training: weights stay fp32, matrix products run in the given precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=is_bf16(precision))


def frozen_copy(model: Model, precision: Precision) -> Model:
    """A copy for inference with weights stored in the given precision, which spares a cast at every step."""
    return for_inference(copy.deepcopy(model), precision)


def for_inference(model: Model, precision: Precision) -> Model:
    """Store the model's own weights in the given precision, never to be trained again."""
    model = model.to(torch.bfloat16 if is_bf16(precision) else torch.float32)
    return model.requires_grad_(False).eval()


def is_bf16(precision: Precision) -> bool:
    """Whether this is bf16.

    Raises:
        ValueError: The precision is still `auto`; it must be resolved before a stage runs.
    """
    if precision == "auto":
        raise ValueError("precision `auto` must be resolved to fp32 or bf16 before a stage runs")
    return precision == "bf16"
