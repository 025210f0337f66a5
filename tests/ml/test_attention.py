"""Attention written out against the library's kernel: the same answers, the same gradients."""

import pytest
import torch

from tasks.ml.attention import WRITTEN_OUT
from tasks.ml.batching import Branch, Group, pack

BATCH = pack(
    [
        Group((5, 6, 7), (Branch((8,), (9, 10), 0), Branch((11, 12), (13,), 1))),
        Group((20,), (Branch((21,), (22, 23, 24), 2),)),
    ],
    pad=0,
)


def states_and_gradients(model) -> list[torch.Tensor]:
    model.zero_grad()
    states = model.model(
        input_ids=BATCH.input_ids, attention_mask=BATCH.mask, position_ids=BATCH.position_ids, use_cache=False
    ).last_hidden_state.flatten(0, 1)[BATCH.source]
    (states * torch.linspace(-1, 1, states.numel()).view_as(states)).sum().backward()
    return [states, *(parameter.grad for parameter in model.parameters())]


def test_states_and_gradients_are_those_of_the_fused_kernel(make_llama) -> None:
    model = make_llama()
    fused = states_and_gradients(model)
    model.set_attn_implementation(WRITTEN_OUT)
    for expected, got in zip(fused, states_and_gradients(model), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("grad", [True, False])
def test_without_a_mask_or_gradients_the_fused_kernel_answers(make_llama, grad: bool) -> None:
    model, ids = make_llama(), torch.tensor([[5, 6, 7, 8]])
    with torch.set_grad_enabled(grad):
        expected = model(input_ids=ids).logits
        model.set_attn_implementation(WRITTEN_OUT)
        assert torch.equal(model(input_ids=ids).logits, expected)
