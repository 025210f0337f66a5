"""Keys and values of the tokens that a model has read, in memory that is allocated once.

A model of transformers asks its cache for two things only where the attention mask is given in full:
`update`, which takes the new keys and values of a layer and gives those to attend to, and `get_seq_length`.
The two caches here are what decoding needs: one for reading prompts, one for adding a token to every active
slot.
"""

from typing import Any

import torch


class PrefillCache:
    """Keeps what the rows of one forward pass read, after a root that all rows share.

    Args:
        root: Keys and values of the root. Shape [L, 2, 1, KV, R, D]; None: there is none.
    """

    def __init__(self, root: torch.Tensor | None) -> None:
        self.root = root
        self.layers: list[torch.Tensor] = []

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer_idx: int, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep a layer's keys and values, shapes [B, KV, T, D]; give them with the root's before them."""
        self.layers.append(torch.stack([key, value]))
        if self.root is None:
            return key, value
        rooted = self.root[layer_idx].expand(-1, len(key), -1, -1, -1)
        return torch.cat([rooted[0], key], dim=2), torch.cat([rooted[1], value], dim=2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Length of the root in tokens."""
        return 0 if self.root is None else self.root.shape[4]

    def stacked(self) -> torch.Tensor:
        """What was read. Shape [L, 2, B, KV, T, D]."""
        return torch.stack(self.layers)


class SlotCache:
    """Keys and values of up to N sequences of at most S tokens; the active ones fill the lowest slots.

    Attributes:
        count: N.
        table: Shape [L, 2, N, KV, S, D]. What is beyond a sequence's length is stale but finite, and masked.
    """

    def __init__(self, like: torch.Tensor, slots: int, tokens: int) -> None:
        layers, two, _, heads, _, size = like.shape
        self.table = torch.zeros(layers, two, slots, heads, tokens, size, dtype=like.dtype)
        self.count = slots
        self._rows = torch.arange(slots)
        self._positions = torch.zeros(0, dtype=torch.long)
        self._longest = 0

    def write(self, slots: slice, start: int, read: torch.Tensor) -> None:
        """Put keys and values at places from `start` on; one row is copied to all slots.

        Args:
            slots: Where to.
            start: Place of the first token.
            read: Shape [L, 2, 1 or len(slots), KV, T, D].
        """
        self.table[:, :, slots, :, start : start + read.shape[4]] = read

    def move(self, source: torch.Tensor, target: torch.Tensor, tokens: int) -> None:
        """Copy slots, as far as `tokens`: finished ones are filled, so that the active ones stay together."""
        self.table[:, :, target, :, :tokens] = self.table[:, :, source, :, :tokens]

    def begin_step(self, positions: torch.Tensor) -> torch.Tensor:
        """Say where each active slot gets its next token; give the mask [A, 1, 1, S] of that step."""
        self._positions = positions
        self._longest = int(positions.max()) + 1
        return (torch.arange(self._longest) <= positions[:, None])[:, None, None]

    def update(
        self, key: torch.Tensor, value: torch.Tensor, layer_idx: int, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add one token to each active slot, shapes [A, KV, 1, D]; give all up to the longest sequence."""
        keys, values = self.table[layer_idx]
        rows = self._rows[: len(key)]
        keys[rows, :, self._positions] = key[:, :, 0]
        values[rows, :, self._positions] = value[:, :, 0]
        return keys[: len(key), :, : self._longest], values[: len(key), :, : self._longest]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Length of the longest active sequence in tokens."""
        return self._longest
