"""The distillation head against a plain softmax, classes in loops, and the gradients that torch derives."""

import pytest
import torch

from tasks.ml import token_head
from tasks.ml.distill_head import distill_head

COUNT, WIDTH, VOCABULARY = 7, 5, 11
IDS = torch.tensor([[3, 0], [-1, 4], [10, 2], [-1, -1], [5, 1], [6, 8], [7, 0]])


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_head, "_TILE_NUMBERS", 3 * VOCABULARY)
    monkeypatch.setattr(token_head, "_STEP", 1)


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(COUNT, WIDTH, generator=draw).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=draw).requires_grad_()
    return hidden, weight, torch.randint(VOCABULARY, (COUNT,), generator=draw)


def plain(hidden, weight, target, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Gold log-probabilities and class log-probabilities, row by row."""
    gold, classes = [], []
    for row in range(COUNT):
        logits = weight @ hidden[row]
        gold.append(logits.log_softmax(0)[target[row]])
        shares = (logits / temperature).softmax(0)
        kept = [int(token) for token in IDS[row] if token >= 0]
        tail = sum(shares[token] for token in range(VOCABULARY) if token not in kept)
        both = [shares[token].log() if token >= 0 else torch.tensor(-torch.inf) for token in IDS[row]]
        classes.append(torch.stack([*both, tail.log()]))
    return torch.stack(gold), torch.stack(classes)


def curved_loss(gold: torch.Tensor, classes: torch.Tensor, rows: slice) -> torch.Tensor:
    """Any function of the numbers that is not linear in them and differs by row."""
    factor = torch.arange(1, COUNT + 1)[rows] / 3
    finite = classes.masked_fill(classes == -torch.inf, 0.0)
    return factor * (gold**2 - (finite * torch.tensor([0.7, -0.2, 1.3])).sum(1) + finite[:, 2] ** 2)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_loss_and_gradients_are_those_of_a_plain_softmax(temperature: float) -> None:
    hidden, weight, target = inputs()
    expected = curved_loss(*plain(hidden, weight, target, temperature), slice(0, COUNT)).sum()
    expected.backward()
    states, matrix, _ = inputs()
    got = distill_head(states, matrix, target, IDS, temperature, curved_loss)
    (3 * got).backward()
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(states.grad, 3 * hidden.grad, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(matrix.grad, 3 * weight.grad, atol=1e-4, rtol=1e-5)


def test_the_loss_sees_every_row_once_and_no_padding() -> None:
    hidden, weight, target = inputs()
    seen: list[int] = []

    def loss_of(gold: torch.Tensor, classes: torch.Tensor, rows: slice) -> torch.Tensor:
        assert len(gold) == len(classes) == rows.stop - rows.start
        seen.extend(range(COUNT)[rows])
        return gold

    distill_head(hidden, weight, target, IDS, 1.0, loss_of)
    assert seen == list(range(COUNT))


def test_a_frozen_head_gets_no_gradient_and_states_the_same() -> None:
    hidden, weight, target = inputs()
    distill_head(hidden, weight.detach(), target, IDS, 2.0, curved_loss).backward()
    trained, also, _ = inputs()
    distill_head(trained, also, target, IDS, 2.0, curved_loss).backward()
    assert torch.equal(hidden.grad, trained.grad)


def test_without_gradients_the_loss_is_the_same() -> None:
    hidden, weight, target = inputs()
    with_gradients = distill_head(hidden, weight, target, IDS, 2.0, curved_loss)
    with torch.no_grad():
        without = distill_head(hidden, weight, target, IDS, 2.0, curved_loss)
    assert without.item() == with_gradients.item()


def test_a_sure_student_leaves_a_tail_that_is_not_lost_in_rounding() -> None:
    # Logits 30, 0, 0: the tail holds 2 e^-30 of the mass, which 1 less the top would round to nothing.
    weight = torch.tensor([[30.0], [0.0], [0.0]])
    tails = []

    def loss_of(gold: torch.Tensor, classes: torch.Tensor, rows: slice) -> torch.Tensor:
        tails.append(classes[:, -1].tolist())
        return gold

    distill_head(torch.ones(1, 1), weight, torch.tensor([0]), torch.tensor([[0]]), 1.0, loss_of)
    assert tails == [[pytest.approx(-30 + 0.6931472, abs=1e-4)]]


def test_under_autocast_products_are_bf16_and_sums_fp32() -> None:
    hidden, weight, target = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        loss = distill_head(hidden, weight, target, IDS, 1.0, curved_loss)
    loss.backward()
    rounded = curved_loss(
        *plain(hidden.bfloat16().float(), weight.bfloat16().float(), target, 1.0), slice(0, COUNT)
    )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(rounded.sum().item(), rel=0.05)
    assert hidden.grad is not None
    assert hidden.grad.dtype == weight.grad.dtype == torch.float32


@pytest.mark.parametrize("tile", [1, 5])
def test_tiles_of_padding_alone_add_nothing(monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    # 33 rows are padded to 36: with tiles of one column, three of them hold no row at all.
    monkeypatch.setattr(token_head, "_TILE_NUMBERS", tile * VOCABULARY)
    draw = torch.Generator().manual_seed(1)
    hidden = torch.randn(33, WIDTH, generator=draw).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=draw).requires_grad_()
    target = torch.randint(VOCABULARY, (33,), generator=draw)
    seen: list[int] = []

    def loss_of(gold: torch.Tensor, classes: torch.Tensor, rows: slice) -> torch.Tensor:
        assert len(gold) == len(classes) == rows.stop - rows.start
        seen.extend(range(33)[rows])
        return -gold

    loss = distill_head(hidden, weight, target, torch.full((33, 2), -1), 1.0, loss_of)
    loss.backward()
    assert seen == list(range(33))
    states, matrix = hidden.detach().requires_grad_(), weight.detach().requires_grad_()
    expected = torch.nn.functional.cross_entropy(states @ matrix.T, target, reduction="sum")
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(hidden.grad, states.grad, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weight.grad, matrix.grad, atol=1e-5, rtol=1e-5)
