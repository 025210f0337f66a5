"""The distillation loss token by token, and that a student learns from it."""

import math

import numpy as np
import pytest
import torch

from tasks.ml.batching import Branch, Group, pack, plan_epochs
from tasks.ml.teacher_signal import Scores, TeacherSignal, score_batch
from tasks.ml.train_distill import distill_loss, mean_nll, train_distill
from tasks.ml.trainer import Watch

GROUPS = [Group((5, 6), (Branch((7,), (8, 9), 0), Branch((10,), (12,), 1)))]


def probabilities(model, prompt: list[int], response: list[int]) -> list[list[float]]:
    with torch.no_grad():
        shares = model(input_ids=torch.tensor([prompt + response])).logits[0].softmax(-1)
    return shares[len(prompt) - 1 : -1].tolist()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_scored_tokens_mix_both_losses_and_the_others_learn_from_gold_alone(
    make_llama, config, temperature: float
) -> None:
    model, weight = make_llama(), 0.3
    section = config.distill.model_copy(update={"kd_weight": weight})
    # Of example 0 both tokens are scored: token 8 of the teacher is the student's 4, its 9 is unknown.
    top = np.log(np.array([[0.6, 0.1]] * 2)).astype(np.float16)
    scores = Scores(np.array([[8, 9]] * 2, np.uint16), top, np.log(np.array([0.3, 0.3], np.float32)))
    signal = TeacherSignal.join({0: scores}, 2, 2, temperature)
    student_id = torch.full((10,), -1)
    student_id[8] = 4
    expected = []
    for token, shares in zip((8, 9), probabilities(model, [5, 6, 7], [8, 9]), strict=True):
        powers = [share ** (1 / temperature) for share in shares]
        soft = powers[4] / sum(powers)
        kl = 0.6 * math.log(0.6 / soft) + 0.4 * math.log(0.4 / (1 - soft))
        expected.append((1 - weight) * -math.log(shares[token]) + weight * temperature**2 * kl)
    [shares] = probabilities(model, [5, 6, 10], [12])
    expected.append(-math.log(shares[12]))
    with torch.no_grad():
        loss, points = distill_loss(model, pack(GROUPS, 0), signal, student_id, section)
    # The signal is stored in fp16, which is good for about three digits.
    assert loss.item() == pytest.approx(sum(expected) / 3, abs=1e-3)
    assert set(points) == {"gold_nll", "teacher_divergence"}


def test_a_teacher_of_the_students_own_mind_pulls_nowhere(make_llama, config) -> None:
    model = make_llama()
    section = config.distill.model_copy(update={"kd_weight": 1.0})
    groups = [Group((5, 6), (Branch((7,), (8, 9), 0), Branch((10,), (12,), 1)))]
    signal = TeacherSignal.join(score_batch(model, groups, 6, 1.0, 0), 2, 6, 1.0)
    loss, points = distill_loss(model, pack(groups, 0), signal, torch.arange(40), section)
    loss.backward()
    assert points["teacher_divergence"] == pytest.approx(0.0, abs=1e-5)
    gradients = [p.grad.abs().max().item() for p in model.parameters() if p.grad is not None]
    assert max(gradients) < 2e-2  # what half precision leaves; cross-entropy has some 0.3
    cross_entropy, _ = distill_loss(model, pack(groups, 0), TeacherSignal.none(2), torch.arange(40), section)
    model.zero_grad()
    cross_entropy.backward()
    assert max(p.grad.abs().max().item() for p in model.parameters() if p.grad is not None) > 0.2


def test_without_weight_or_signal_it_is_the_cross_entropy(make_llama, config) -> None:
    model = make_llama()
    nothing = TeacherSignal.none(2)
    shares = [*probabilities(model, [5, 6, 7], [8, 9]), *probabilities(model, [5, 6, 10], [12])]
    expected = -sum(math.log(share[token]) for share, token in zip(shares, (8, 9, 12), strict=True)) / 3
    with torch.no_grad():
        loss, points = distill_loss(model, pack(GROUPS, 0), nothing, torch.empty(0), config.distill)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    assert points == {"gold_nll": pytest.approx(expected, abs=1e-5)}


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
    epochs = [GROUPS] * settings.epochs
    nothing = TeacherSignal.none(2)
    train_distill(model, epochs, GROUPS, nothing, torch.empty(0), settings, seed=0, watch=watch)
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
    epochs, nothing = [GROUPS] * settings.epochs, TeacherSignal.none(2)
    train_distill(model, epochs, held_out, nothing, torch.empty(0), settings, seed=0, watch=watch)
    curve = [metrics["valid_nll"] for _, metrics in points if "valid_nll" in metrics]
    assert len(points) < 40
    assert points[-1][1]["best_valid_nll"] == min(curve)
    assert mean_nll(model, held_out, settings, 0) == pytest.approx(min(curve), abs=1e-6)


def test_the_plan_shuffles_every_epoch_anew(config) -> None:
    groups = [Group((1,), (Branch((2,), (3,), number),)) for number in range(12)]
    settings = config.distill.model_copy(update={"token_budget": 12})
    plan = plan_epochs([groups, groups], settings.token_budget, 5)
    order = [group.branches[0].index for batch in plan for group in batch]
    assert sorted(order[:12]) == sorted(order[12:]) == list(range(12))
    assert order[:12] != order[12:]
