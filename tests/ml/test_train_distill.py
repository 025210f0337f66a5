"""The distillation loss token by token, and that a student learns from it."""

import math

import pytest
import torch

from tasks.ml.batching import Branch, Group, pack
from tasks.ml.teacher_signal import join
from tasks.ml.train_distill import distill_loss, distill_plan, mean_nll, train_distill
from tasks.ml.trainer import Watch

GROUPS = [Group((5, 6), (Branch((7,), (8, 9), 0), Branch((10,), (12,), 1)))]


def probabilities(model, prompt: list[int], response: list[int]) -> list[list[float]]:
    with torch.no_grad():
        shares = model(input_ids=torch.tensor([prompt + response])).logits[0].softmax(-1)
    return shares[len(prompt) - 1 : -1].tolist()


def test_scored_tokens_mix_both_losses_and_the_others_learn_from_gold_alone(make_llama, config) -> None:
    model, weight = make_llama(), 0.3
    section = config.distill.model_copy(update={"kd_weight": weight})
    # Of example 0 both tokens are scored: token 8 of the teacher is the student's 4, its 9 is unknown.
    teacher = [[8.0, 9.0], [math.log(0.6), math.log(0.1)]]
    signal = join({0: torch.tensor([teacher, teacher])}, examples=2, top_k=2)
    student_id = torch.full((10,), -1)
    student_id[8] = 4
    expected = []
    for token, shares in zip((8, 9), probabilities(model, [5, 6, 7], [8, 9]), strict=True):
        kl = 0.6 * math.log(0.6 / shares[4]) + 0.4 * math.log(0.4 / (1 - shares[4]))
        expected.append((1 - weight) * -math.log(shares[token]) + weight * kl)
    [shares] = probabilities(model, [5, 6, 10], [12])
    expected.append(-math.log(shares[12]))
    with torch.no_grad():
        loss, points = distill_loss(model, pack(GROUPS, 0), signal, student_id, section)
    # The signal is stored in fp16, which is good for about three digits.
    assert loss.item() == pytest.approx(sum(expected) / 3, abs=1e-3)
    assert set(points) == {"gold_nll", "teacher_divergence"}


def test_without_weight_or_signal_it_is_the_cross_entropy(make_llama, config) -> None:
    model = make_llama()
    nothing = join({}, examples=2, top_k=2)
    shares = [*probabilities(model, [5, 6, 7], [8, 9]), *probabilities(model, [5, 6, 10], [12])]
    expected = -sum(math.log(share[token]) for share, token in zip(shares, (8, 9, 12), strict=True)) / 3
    with torch.no_grad():
        loss, points = distill_loss(model, pack(GROUPS, 0), nothing, torch.empty(0), config.distill)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    assert points == {"gold_nll": pytest.approx(expected, abs=1e-5)}


def test_smoothing_is_in_the_loss_but_not_in_the_point(make_llama, config) -> None:
    model, nothing = make_llama(), join({}, examples=2, top_k=2)
    section = config.distill.model_copy(update={"label_smoothing": 0.2})
    shares = [*probabilities(model, [5, 6, 7], [8, 9]), *probabilities(model, [5, 6, 10], [12])]
    gold = [-math.log(share[token]) for share, token in zip(shares, (8, 9, 12), strict=True)]
    every = [-sum(map(math.log, share)) / len(share) for share in shares]
    with torch.no_grad():
        loss, points = distill_loss(model, pack(GROUPS, 0), nothing, torch.empty(0), section)
    assert loss.item() == pytest.approx(0.8 * sum(gold) / 3 + 0.2 * sum(every) / 3, abs=1e-5)
    assert points == {"gold_nll": pytest.approx(sum(gold) / 3, abs=1e-5)}


def test_mean_nll_counts_tokens_not_answers(make_llama, config) -> None:
    model = make_llama()
    shares = [*probabilities(model, [5, 6, 7], [8, 9]), *probabilities(model, [5, 6, 10], [12])]
    expected = -sum(math.log(share[token]) for share, token in zip(shares, (8, 9, 12), strict=True)) / 3
    apart = [Group(GROUPS[0].prefix, (branch,)) for branch in GROUPS[0].branches]
    small = config.distill.model_copy(update={"token_budget": 1})
    assert mean_nll(model, apart, small, 0) == pytest.approx(expected, abs=1e-5)


def test_a_student_learns_its_answers_and_says_so(make_llama, config) -> None:
    model, points = make_llama(), []
    settings = config.distill.model_copy(
        update={
            "epochs": 12,
            "learning_rate": 0.02,
            "token_budget": 8,
            "warmup_steps": 2,
            "validate_every": 5,
        }
    )
    before = mean_nll(model, GROUPS, settings, 0)
    watch = Watch(log=lambda metrics, step: points.append((step, metrics)))
    train_distill(model, GROUPS, GROUPS, join({}, 2, 2), torch.empty(0), settings, seed=0, watch=watch)
    assert mean_nll(model, GROUPS, settings, 0) < 0.2 * before
    assert [step for step, metrics in points if "valid_nll" in metrics] == [5, 10, 12]
    assert points[0][1]["loss"] == pytest.approx(before, abs=1e-5)


def test_training_ends_when_the_held_out_nll_stops_falling(make_llama, config) -> None:
    model, points = make_llama(), []
    settings = config.distill.model_copy(
        update={"epochs": 40, "learning_rate": 0.05, "token_budget": 8, "validate_every": 2, "patience": 2}
    )
    # Answers that contradict those that are learnt.
    held_out = [Group((5, 6), (Branch((7,), (30, 31), 0), Branch((10,), (32,), 1)))]
    watch = Watch(log=lambda metrics, step: points.append((step, metrics)))
    train_distill(model, GROUPS, held_out, join({}, 2, 2), torch.empty(0), settings, seed=0, watch=watch)
    curve = [metrics["valid_nll"] for _, metrics in points if "valid_nll" in metrics]
    assert len(points) < 40
    assert points[-1][1]["best_valid_nll"] == min(curve)
    assert mean_nll(model, held_out, settings, 0) == pytest.approx(min(curve), abs=1e-6)


def test_the_plan_shuffles_every_epoch_anew(config) -> None:
    groups = [Group((1,), (Branch((2,), (3,), number),)) for number in range(12)]
    settings = config.distill.model_copy(update={"epochs": 2, "token_budget": 12})
    order = [group.branches[0].index for batch in distill_plan(groups, settings, 5) for group in batch]
    assert sorted(order[:12]) == sorted(order[12:]) == list(range(12))
    assert order[:12] != order[12:]
