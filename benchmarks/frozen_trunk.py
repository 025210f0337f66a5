"""A reward model whose frozen bottom is computed once for all folds, and its trained top for each."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from tasks.ml.batching import Group, PackedBatch, fill, pack
from tasks.ml.models import ScoredModel, hidden_states

_PASS_TOKENS = 4096


class TopModel(ScoredModel):
    """The upper layers above what the lower ones made of each group.

    Args:
        language_model: A causal language model that has the upper layers alone.
        states: For each branch, what the lower layers made of its group. Shape [tokens, H] each.
    """

    def __init__(self, language_model: Any, states: dict[int, torch.Tensor]) -> None:
        super().__init__(language_model)
        self._states = states

    def hidden_states(self, batch: PackedBatch) -> torch.Tensor:
        """Last hidden state of every token of a batch of whole groups. Shape [R * T, H]."""
        rows, width = batch.input_ids.shape
        inputs = torch.zeros(rows, width, self.language_model.config.hidden_size)
        for end, branch in zip(batch.end.tolist(), batch.branch.tolist(), strict=True):
            states = self._states[branch]
            inputs[end // width, : len(states)] = states
        found: torch.Tensor = self.language_model.model(
            inputs_embeds=inputs,
            attention_mask=batch.mask,
            position_ids=batch.position_ids,
            use_cache=False,
        ).last_hidden_state
        return found.flatten(0, 1)


def split_layers(language_model: Any, layers: int, trained: int) -> tuple[Any, Any]:
    """The lowest `layers` of a model in two: a bottom that ends without a norm, and the `trained` on it."""
    bottom, top = copy.deepcopy(language_model), copy.deepcopy(language_model)
    bottom.model.layers = bottom.model.layers[: layers - trained]
    bottom.model.norm = torch.nn.Identity()
    top.model.layers = top.model.layers[layers - trained : layers]
    # Its embedding is passed over, and must not count as trained.
    top.get_input_embeddings().requires_grad_(False)
    return bottom.eval(), top


@torch.no_grad()
def bottom_states(bottom: Any, groups: Sequence[Group]) -> dict[int, torch.Tensor]:
    """What the lower layers make of each group, by each of its branches; the same tensor for all of them."""
    states: dict[int, torch.Tensor] = {}
    for part in fill(groups, _PASS_TOKENS):
        batch = pack(part, bottom.config.pad_token_id)
        rows = hidden_states(bottom, batch).view(*batch.input_ids.shape, -1)
        for row, group in zip(rows, part, strict=True):
            own = row[: len(group)].clone()
            states |= {branch.index: own for branch in group.branches}
    return states
