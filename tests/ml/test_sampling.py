"""Tokens must be drawn as often as their probabilities say, from noise that belongs to one response."""

import pytest
import torch

from tasks.ml.sampling import Sampling, choose, noise

LOGITS = torch.tensor([2.0, 0.5, 1.0, -1.0, 0.0])


def probabilities(temperature: float) -> list[float]:
    weights = [2.718281828459045 ** (value / temperature) for value in LOGITS.tolist()]
    return [weight / sum(weights) for weight in weights]


def sampling(**changes: float) -> Sampling:
    return Sampling(4, stop=1, pad=0, **{"temperature": 1.0, **changes})


def shares(**changes: float) -> list[float]:
    """How often each token is drawn if the noise takes 10,000 evenly spread values."""
    count = 10_000
    uniform = (torch.arange(count) + 0.5) / count
    tokens = choose(LOGITS.repeat(count, 1), uniform, sampling(**changes)).tokens
    return (torch.bincount(tokens, minlength=5) / count).tolist()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_tokens_are_drawn_as_often_as_the_tempered_softmax_says(temperature: float) -> None:
    assert shares(temperature=temperature) == pytest.approx(probabilities(temperature), abs=2e-4)


def test_top_k_draws_from_the_most_probable_alone() -> None:
    p = probabilities(1.0)
    kept = p[0] + p[2]
    assert shares(top_k=2) == pytest.approx([p[0] / kept, 0, p[2] / kept, 0, 0], abs=2e-4)
    assert shares(top_k=5) == shares()
    assert shares(top_k=99) == shares()


def test_top_p_draws_from_the_smallest_set_that_holds_the_mass() -> None:
    # In order: 0.552, 0.203, 0.123, 0.075, 0.027 of tokens 0, 2, 1, 4, 3.
    p = probabilities(1.0)
    assert p == pytest.approx([0.5801, 0.1294, 0.2134, 0.0289, 0.0785], abs=2e-2)
    for top_p, kept in ((0.5, [0]), (p[0] + 0.5 * p[2], [0, 2]), (p[0] + p[2] + 1e-3, [0, 1, 2])):
        mass = sum(p[token] for token in kept)
        expected = [p[token] / mass if token in kept else 0.0 for token in range(5)]
        assert shares(top_p=top_p) == pytest.approx(expected, abs=2e-4)


def test_log_probabilities_and_entropies_are_those_before_the_cut() -> None:
    p = probabilities(0.7)
    chosen = choose(LOGITS[None], torch.tensor([0.0]), sampling(temperature=0.7, top_k=1))
    assert chosen.tokens.tolist() == [0]
    assert chosen.log_probs.exp().tolist() == pytest.approx([p[0]], abs=1e-6)
    entropy = -sum(share * torch.tensor(share).log().item() for share in p)
    assert chosen.entropies.tolist() == pytest.approx([entropy], abs=1e-6)


def test_greedy_takes_the_most_probable_whatever_the_noise() -> None:
    for uniform in (0.0, 0.999):
        chosen = choose(LOGITS[None], torch.tensor([uniform]), sampling(temperature=0.0))
        assert chosen.tokens.tolist() == [0]
    assert chosen.log_probs.exp().tolist() == pytest.approx([probabilities(1.0)[0]], abs=1e-6)


def test_a_token_without_mass_is_never_drawn_at_the_ends_of_the_noise() -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 0.0, -torch.inf]])
    for uniform, token in ((0.0, 1), (1 - 2**-24, 2)):
        assert choose(logits, torch.tensor([uniform]), sampling(top_k=2)).tokens.tolist() == [token]


def test_noise_belongs_to_a_stream_and_a_place_in_it() -> None:
    table = noise(7, [3, 0, 12], 5)
    assert noise(7, [0], 5).tolist() == table[1:2].tolist()
    assert noise(7, [12], 9)[0, :5].tolist() == table[2].tolist()
    assert noise(8, [3], 5).tolist() != table[:1].tolist()
    many = noise(1, range(400), 50)
    assert many.min() >= 0
    assert many.max() < 1
    assert many.mean().item() == pytest.approx(0.5, abs=0.01)
    assert len(many.unique()) > 19_900
