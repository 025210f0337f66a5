"""In which arithmetic a model computes."""

import copy
from contextlib import AbstractContextManager
from typing import TypeVar

import torch

from configs.section import Precision
from tasks.ml.few_rows import use_few_rows

Model = TypeVar("Model", bound=torch.nn.Module)


def arithmetic(precision: Precision) -> AbstractContextManager[None]:
    """Autocast for training: weights stay fp32, matrix products run in the given precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=is_bf16(precision))


def frozen_copy(model: Model, precision: Precision) -> Model:
    """A copy for inference with weights stored in the given precision, which spares a cast at every step.

    Weights that are frozen already, and in that precision, are shared with the model rather than copied.
    Buffers, such as the frequencies of rotary positions, stay as they are.
    """
    dtype = torch.bfloat16 if is_bf16(precision) else torch.float32
    weights = {
        id(parameter): torch.nn.Parameter(
            parameter.detach().to(dtype, copy=parameter.requires_grad), requires_grad=False
        )
        for parameter in model.parameters()
    }
    copied = copy.deepcopy(model, weights).eval()
    return copied if is_bf16(precision) else use_few_rows(copied)


def is_bf16(precision: Precision) -> bool:
    """Whether this is bf16.

    Raises:
        ValueError: The precision is still `auto`; it must be resolved before a stage runs.
    """
    if precision == "auto":
        raise ValueError("precision `auto` must be resolved to fp32 or bf16 before a stage runs")
    return precision == "bf16"
