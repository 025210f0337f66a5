"""The gate on stored logits: what is lost is the tail's own divergence, and K grows until it is little."""

import math

import pytest
import torch

from tasks.ml.signal_gate import decide_top_k, sizes, stored_kl


def logs(*shares: float) -> torch.Tensor:
    return torch.tensor([shares]).log()


def test_what_is_stored_is_the_divergence_over_the_classes() -> None:
    teacher, student = logs(0.5, 0.3, 0.15, 0.05), logs(0.2, 0.2, 0.1, 0.5)
    expected = 0.5 * math.log(0.5 / 0.2) + 0.3 * math.log(0.3 / 0.2) + 0.2 * math.log(0.2 / 0.6)
    # Half precision keeps three digits.
    assert stored_kl(teacher, student, 2).item() == pytest.approx(expected, abs=1e-3)
    whole = sum(t * math.log(t / s) for t, s in ((0.5, 0.2), (0.3, 0.2), (0.15, 0.1), (0.05, 0.5)))
    assert stored_kl(teacher, student, 4).item() == pytest.approx(whole, abs=1e-3)
    lost = 0.2 * (0.75 * math.log(0.75 / (1 / 6)) + 0.25 * math.log(0.25 / (5 / 6)))
    assert whole - expected == pytest.approx(lost, abs=1e-9)


def test_k_grows_until_little_is_lost() -> None:
    # Two equal tokens and a tail of four unequal ones: the stand-in differs from the teacher in the tail.
    teacher = logs(0.4, 0.4, 0.14, 0.03, 0.02, 0.01)
    peer = [math.sqrt(t) for t in (0.4, 0.4, 0.14, 0.03, 0.02, 0.01)]
    peer = [p / sum(peer) for p in peer]
    kl = [t * math.log(t / p) for t, p in zip((0.4, 0.4, 0.14, 0.03, 0.02, 0.01), peer, strict=True)]
    with_two = kl[0] + kl[1] + 0.2 * math.log(0.2 / sum(peer[2:]))
    lost = 1 - with_two / sum(kl)
    decision = decide_top_k([teacher, teacher], 2, most_lost=1.0)
    assert decision.lost[2] == pytest.approx(lost, abs=2e-3)
    assert (decision.top_k, decision.tokens) == (2, 2)
    assert decide_top_k([teacher], 2, most_lost=lost + 0.01).top_k == 2
    assert decide_top_k([teacher], 2, most_lost=lost - 0.01).top_k == 4


def test_the_largest_is_taken_where_none_is_enough() -> None:
    spread = torch.randn(1, 40, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    assert decide_top_k([spread], 4, most_lost=0.0).top_k == 32
    assert decide_top_k([], 8, most_lost=0.1).top_k == 8


def test_sizes_double_within_the_vocabulary() -> None:
    assert sizes(8, 40) == [8, 16, 32]
    assert sizes(64, 40) == [40]
    assert sizes(600, 50_000) == [600]
    assert sizes(512, 50_000) == [512, 1024]
