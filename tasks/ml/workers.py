"""Processes that train one model together: each takes a share of the work, all take the same step."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce

Item = TypeVar("Item")


class Workers(Protocol):
    """What a training loop asks of the processes beside it."""

    index: int
    count: int

    def gather(self, items: list[Item]) -> list[Item]:
        """The items of all processes, in all processes."""

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""


class Alone:
    """One process."""

    index, count = 0, 1

    def gather(self, items: list[Item]) -> list[Item]:
        """These items."""
        return items

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Leave the tensors as they are."""


class Distributed:
    """The processes that `torchrun` started on processors; finds them by its environment variables."""

    def __init__(self) -> None:
        state = PartialState(cpu=True)
        self.index, self.count = state.process_index, state.num_processes

    def gather(self, items: list[Item]) -> list[Item]:
        """The items of all processes, in the order of the processes."""
        return list(gather_object(items))

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum, with one message for all."""
        flat = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "sum")
        for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))
