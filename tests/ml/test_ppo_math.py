"""PPO's formulas against plain loops over ragged lists: no tensor, no mask, no padding."""

import math
import random

import pytest
import torch

from tasks.ml.ppo_math import (
    advantages,
    kl_estimate,
    masked_mean,
    policy_loss,
    shaped_rewards,
    value_loss,
    whiten,
)

LENGTHS = (5, 1, 3)


def ragged(seed: int) -> list[list[float]]:
    draw = random.Random(seed)
    return [[draw.gauss(0, 1) for _ in range(length)] for length in LENGTHS]


def padded(rows: list[list[float]], filling: float = 77.0) -> torch.Tensor:
    """Padding holds a number that would show if it leaked into a result."""
    return torch.tensor([row + [filling] * (max(LENGTHS) - len(row)) for row in rows])


def mask() -> torch.Tensor:
    return padded([[1.0] * length for length in LENGTHS], 0.0).bool()


def test_a_masked_mean_leaves_padding_out() -> None:
    rows = ragged(0)
    flat = [value for row in rows for value in row]
    assert masked_mean(padded(rows), mask()).item() == pytest.approx(sum(flat) / len(flat), abs=1e-6)


def test_whitened_values_have_mean_0_and_variance_1_and_no_padding() -> None:
    rows = ragged(1)
    flat = [value for row in rows for value in row]
    mean = sum(flat) / len(flat)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in flat) / len(flat))
    expected = padded([[(value - mean) / deviation for value in row] for row in rows], 0.0)
    torch.testing.assert_close(whiten(padded(rows), mask()), expected, atol=1e-5, rtol=0)


def test_rewards_are_the_kl_penalty_and_at_the_last_token_the_score() -> None:
    ratios, scores = ragged(2), [1.5, -2.0, 0.25]
    expected = [[-0.3 * ratio for ratio in row] for row in ratios]
    for row, score in zip(expected, scores, strict=True):
        row[-1] += score
    got = shaped_rewards(torch.tensor(scores), padded(ratios), mask(), kl_coefficient=0.3)
    torch.testing.assert_close(got, padded(expected, 0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("discount", "gae_lambda"), [(1.0, 0.95), (0.9, 0.8), (0.9, 0.0), (1.0, 1.0)])
def test_advantages_are_the_discounted_sum_of_later_surprises(discount: float, gae_lambda: float) -> None:
    rewards, values = ragged(3), ragged(4)
    expected = []
    for reward, value in zip(rewards, values, strict=True):
        after = [*value[1:], 0.0]
        surprises = [r + discount * v_next - v for r, v, v_next in zip(reward, value, after, strict=True)]
        expected.append(
            [
                sum(
                    (discount * gae_lambda) ** (later - now) * surprises[later]
                    for later in range(now, len(reward))
                )
                for now in range(len(reward))
            ]
        )
    got = advantages(padded(rewards), padded(values), mask(), discount, gae_lambda)
    torch.testing.assert_close(got, padded(expected, 0.0), atol=1e-5, rtol=0)


def test_without_discount_and_with_lambda_1_an_advantage_is_return_minus_value() -> None:
    got = advantages(
        torch.tensor([[0.0, 0.0, 5.0]]), torch.tensor([[1.0, 2.0, 3.0]]), torch.ones(1, 3).bool(), 1.0, 1.0
    )
    assert got.tolist() == [[4.0, 3.0, 2.0]]


def test_the_policy_loss_takes_the_worse_of_plain_and_clipped() -> None:
    # Ratio, advantage, loss at e = 0.2, whether the clip decides.
    table = [
        (1.0, 2.0, -2.0, False),
        (1.5, 2.0, -2.4, True),
        (0.5, 2.0, -1.0, False),
        (1.5, -2.0, 3.0, False),
        (0.5, -2.0, 1.6, True),
        (1.1, -1.0, 1.1, False),
    ]
    old = torch.linspace(-2, -1, len(table))
    now = old + torch.tensor([ratio for ratio, *_ in table]).log()
    losses, clipped = policy_loss(now, old, torch.tensor([row[1] for row in table]), clip_range=0.2)
    assert losses.tolist() == pytest.approx([row[2] for row in table], abs=1e-5)
    assert clipped.tolist() == [row[3] for row in table]


def test_the_policy_loss_raises_what_was_better_than_expected() -> None:
    now = torch.tensor([-1.0, -1.0], requires_grad=True)
    losses, _ = policy_loss(now, now.detach(), torch.tensor([2.0, -3.0]), clip_range=0.2)
    losses.sum().backward()
    assert now.grad is not None
    assert now.grad.tolist() == pytest.approx([-2.0, 3.0])


def test_beyond_the_clip_the_policy_is_not_pushed_further() -> None:
    now = torch.tensor([1.5, 0.5]).log().requires_grad_()
    losses, _ = policy_loss(now, torch.zeros(2), torch.tensor([2.0, -2.0]), clip_range=0.2)
    losses.sum().backward()
    assert now.grad is not None
    assert now.grad.tolist() == [0.0, 0.0]


def test_the_value_loss_takes_the_worse_of_plain_and_clipped() -> None:
    # Value, old value, return, loss at e = 0.5.
    table = [
        (1.2, 1.0, 2.0, 0.5 * 0.8**2),
        (3.0, 1.0, 2.0, 0.5 * max(1.0**2, 0.5**2)),
        (2.0, 1.0, 2.0, 0.5 * 0.5**2),
        (-1.0, 1.0, 0.5, 0.5 * max(1.5**2, 0.0)),
    ]
    columns = [torch.tensor(column) for column in zip(*table, strict=True)]
    loss, clipped = value_loss(*columns[:3], clip_range=0.5)
    assert loss.tolist() == pytest.approx(columns[3].tolist(), abs=1e-6)
    assert clipped.tolist() == [False, False, True, False]


def test_estimates_of_kl() -> None:
    ratios = [0.0, 0.7, -0.4]
    log_ratio = torch.tensor(ratios)
    assert kl_estimate(log_ratio, "k1").tolist() == pytest.approx(ratios)
    assert kl_estimate(log_ratio, "k2").tolist() == pytest.approx([0.0, 0.245, 0.08])
    # exp(-0.7) = 0.4965853, exp(0.4) = 1.4918247
    assert kl_estimate(log_ratio, "k3").tolist() == pytest.approx([0.0, 0.1965853, 0.0918247], abs=1e-6)


def test_k1_and_k3_agree_with_the_kl_of_two_distributions_on_average() -> None:
    p, q = [0.7, 0.2, 0.1], [0.4, 0.4, 0.2]
    exact = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    log_ratio = torch.tensor([math.log(a / b) for a, b in zip(p, q, strict=True)])
    for estimator in ("k1", "k3"):
        expected = (torch.tensor(p) * kl_estimate(log_ratio, estimator)).sum().item()
        assert expected == pytest.approx(exact, abs=1e-6)


def test_whitened_rewards_keep_their_mean() -> None:
    values = [[1.0, 4.0], [3.0, 8.0]]
    real = torch.tensor([[True, True], [True, False]])
    # The mean of 1, 4 and 3 is 8/3, their variance 14/9.
    scaled = [[(value - 8 / 3) / math.sqrt(14 / 9) + 8 / 3 for value in row] for row in values]
    got = whiten(torch.tensor(values), real, keep_mean=True).tolist()
    assert got[0] == pytest.approx(scaled[0], abs=1e-6)
    assert got[1] == pytest.approx([scaled[1][0], 0.0], abs=1e-6)
