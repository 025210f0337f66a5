"""The tiled head against a plain softmax and the gradients that torch derives from it."""

import pytest
import torch

from tasks.ml import token_head
from tasks.ml.batching import round_up
from tasks.ml.token_head import token_log_probs

COUNT, WIDTH, VOCABULARY = 7, 5, 11


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    # Three rows a tile, so that seven rows make two whole tiles and a part of one.
    monkeypatch.setattr(token_head, "_TILE_NUMBERS", 3 * VOCABULARY)
    monkeypatch.setattr(token_head, "_STEP", 1)
    padded = round_up(COUNT)
    assert [tile.stop - tile.start for tile in token_head.tiles(padded, VOCABULARY)] == [3, 3, padded - 6]


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(COUNT, WIDTH, generator=draw).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=draw).requires_grad_()
    return hidden, weight, torch.randint(VOCABULARY, (COUNT,), generator=draw)


def plain(hidden, weight, target, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    log_probs, entropies = [], []
    for row in range(len(hidden)):
        scores = torch.stack([(hidden[row] * weight[v]).sum() / temperature for v in range(len(weight))])
        probs = scores.exp() / scores.exp().sum()
        log_probs.append(probs[target[row]].log())
        entropies.append(-sum(p * p.log() for p in probs))
    return torch.stack(log_probs), torch.stack(entropies)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("entropy_weight", [0.0, 0.3])
def test_values_and_gradients_are_those_of_a_plain_softmax(temperature: float, entropy_weight: float) -> None:
    upstream = torch.linspace(-1, 2, COUNT)
    results = []
    for function in (plain, token_log_probs):
        hidden, weight, target = inputs()
        extra = (entropy_weight > 0,) if function is token_log_probs else ()
        log_probs, entropies = function(hidden, weight, target, temperature, *extra)
        loss = (upstream * log_probs).sum()
        if entropy_weight:
            loss = loss + entropy_weight * (upstream.flip(0) * entropies).sum()
        loss.backward()
        results.append((log_probs, entropies, hidden.grad, weight.grad))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)


def test_a_frozen_head_gets_no_gradient_and_states_the_same() -> None:
    hidden, weight, target = inputs()
    token_log_probs(hidden, weight.detach(), target)[0].sum().backward()
    trained, also, _ = inputs()
    token_log_probs(trained, also, target)[0].sum().backward()
    assert torch.equal(hidden.grad, trained.grad)


def test_without_its_gradient_entropy_cannot_be_trained_by_mistake() -> None:
    hidden, weight, target = inputs()
    assert not token_log_probs(hidden, weight, target)[1].requires_grad


def test_without_gradients_the_values_are_the_same() -> None:
    hidden, weight, target = inputs()
    with torch.no_grad():
        log_probs, entropies = token_log_probs(hidden, weight, target)
    expected = plain(hidden, weight, target, 1.0)
    torch.testing.assert_close(log_probs, expected[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(entropies, expected[1], atol=1e-6, rtol=0)
    assert not log_probs.requires_grad


def test_under_autocast_products_are_bf16_and_results_fp32() -> None:
    hidden, weight, target = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        log_probs, entropies = token_log_probs(hidden, weight, target)
    log_probs.sum().backward()
    expected = plain(hidden.bfloat16().float(), weight.bfloat16().float(), target, 1.0)
    assert log_probs.dtype == entropies.dtype == torch.float32
    torch.testing.assert_close(log_probs, expected[0], atol=0.03, rtol=0.02)
    assert hidden.grad.dtype == weight.grad.dtype == torch.float32
